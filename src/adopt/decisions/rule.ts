import { ident, literal } from '../../database/sql.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import { organizationOfKey, stableText } from '../key-text.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { orphansFunction } from '../steps/names.ts';
import {
  type Aliases,
  createAliases,
  type JoinedExpression,
  joinCondition,
  parentRows,
  type RouteEnd,
  type TenantGraph,
  type TenantNode,
  tenantByKey,
  tenantOfRow,
} from '../tenant-sql.ts';
import type { OrphanDecision, TableRule } from './types.ts';

/** The key of a row as the server writes a row value: `(17)`, `(17,"a b")`. No two keys look the same, and one has the same text in every session. */
export function rowText(alias: string, { primaryKey = [], rule }: Pick<TenantNode, 'primaryKey' | 'rule'>): string {
  if (primaryKey.length === 0) return `${alias}.ctid::text`;
  const columns = primaryKey.map((column, i) => {
    const value = `${alias}.${ident(column)}`;
    const text = stableText(value, rule?.keyTypes[i] ?? 'text');
    return text === `${value}::text` ? value : text;
  });
  return `row(${columns.join(', ')})::text`;
}

/** `(key) = any ('{…}'::text[])`, hashed by the server when there are many. */
export function keyIn(expression: string, keys: readonly string[]): string {
  return `${expression} = any (array[${keys.map(literal).join(', ')}]::text[])`;
}

/** True when anything but the ways of `via` decides about a row's tenant. */
export function isRuled(rule: TableRule | undefined): rule is TableRule {
  return (
    rule !== undefined &&
    (rule.rows.length > 0 ||
      rule.orphans.startsWith('organization:') ||
      rule.ways.some((way) => way.decision === 'quarantine'))
  );
}

/** True when a row of the table may stay without a tenant by a decision. */
export function mayQuarantine(rule: TableRule | undefined): boolean {
  return (
    rule !== undefined &&
    (rule.usedBy.length > 0 ||
      rule.orphans === 'quarantine' ||
      rule.rows.some((row) => row.way === null) ||
      rule.ways.some((way) => way.decision === 'quarantine'))
  );
}

/** What stands for the organization that takes orphans, at the end of a route. */
export type OrphanEnd = (decision: OrphanDecision) => string | undefined;

export function organizationSlug(decision: OrphanDecision): string | undefined {
  return decision.startsWith('organization:') ? decision.slice('organization:'.length) : undefined;
}

/**
 * The tenant of a row by the decisions for its table, around the one that the ways of `via` give: single rows first, then rows
 * that a quarantined way leads elsewhere, then orphans.
 */
export function applyRule(
  graph: TenantGraph,
  table: TableName,
  alias: string,
  aliases: Aliases,
  end: RouteEnd,
  own: JoinedExpression,
): JoinedExpression {
  const node = graph.nodes.get(table);
  if (node === undefined || !isRuled(node.rule)) return own;
  const { rule } = node;
  // a way that comes back to this table is followed by its keys alone
  const plain: TenantGraph = { ...graph, nodes: new Map([...graph.nodes, [table, withoutRule(node)]]) };
  const joins = [...own.joins];
  const follow = (way: JoinedExpression): string => {
    joins.push(...way.joins);
    return `(${way.expression})`;
  };
  const key = rowText(alias, node);
  const branches: string[] = [];
  const quarantined = rule.rows.filter((row) => row.way === null).map((row) => row.key);
  if (quarantined.length > 0) branches.push(`when ${keyIn(key, quarantined)} then null`);
  for (const way of new Set(rule.rows.flatMap((row) => row.way ?? []))) {
    const keys = rule.rows.filter((row) => row.way === way).map((row) => row.key);
    branches.push(`when ${keyIn(key, keys)} then ${follow(tenantByKey(plain, way, alias, aliases, end))}`);
  }
  for (const { key: way, decision } of rule.ways) {
    if (decision === 'quarantine')
      branches.push(`when (${own.expression}) <> ${follow(tenantByWay(graph, way, alias, aliases, end))} then null`);
  }
  const orphan = graph.orphan?.(rule.orphans);
  // without a way of its own the row holds the organization's key
  const lost = node.via.length === 0 ? `(${own.expression}) is null` : isOrphan(node.via, alias);
  if (orphan !== undefined) branches.push(`when ${lost} then ${orphan}`);
  return {
    joins,
    expression: branches.length === 0 ? own.expression : `case ${branches.join(' ')} else ${own.expression} end`,
  };
}

/**
 * Where another way leads, to be compared: by the keys alone, whoever waits on the way. Two rows may be in quarantine because of
 * each other.
 */
export function tenantByWay(
  graph: TenantGraph,
  key: ForeignKey,
  alias: string,
  aliases: Aliases,
  end: RouteEnd,
): JoinedExpression {
  const alone = withoutRules(graph);
  const first = tenantByKey(alone, key, alias, aliases, end);
  if (graph.climb === undefined || graph.nodes.get(key.parent)?.class === 'root') return first;
  const past = tenantByKey(alone, key, alias, aliases, graph.climb);
  return {
    joins: [...first.joins, ...past.joins],
    expression: `coalesce(${first.expression}, ${past.expression})`,
  };
}

/** The keys without the decisions; what belongs to its users has nothing else. */
export function withoutRules(graph: TenantGraph): TenantGraph {
  const nodes = [...graph.nodes].map(
    ([table, node]) => [table, (node.rule?.usedBy.length ?? 0) > 0 ? node : withoutRule(node)] as const,
  );
  return { ...graph, nodes: new Map(nodes) };
}

/** No way leads to a row: its keys are null, or what they name is not there. A parent in quarantine is there. */
export function isOrphan(via: readonly ForeignKey[], alias: string): string {
  return via
    .map((key) => `not exists (select from ${parentRows(key)} o where ${joinCondition(key, alias, 'o')})`)
    .join(' and ');
}

function withoutRule({ class: kind, via }: TenantNode): TenantNode {
  return { class: kind, via };
}

/** `select k0, tenant`: which tenants use which rows of a table, by every key to it. */
export function usesOf(graph: TenantGraph, table: TableName, rule: TableRule, end: RouteEnd = () => undefined): string {
  const parts = rule.usedBy
    .filter((key) => key.parent === table)
    .map((key) => {
      const user = tenantOfRow(graph, key.table, 'u', innerAliases(), end);
      const keys = key.columns.map((column, i) => `u.${ident(column)} as k${i}`).join(', ');
      return `select ${keys}, ${user.expression} as tenant from ${key.table} u ${user.joins.join(' ')}`;
    });
  return parts.join(' union all ');
}

/** Aliases of a sub-select of their own: its names hide the outer ones. */
const innerAliases = (): Aliases => {
  let last = 0;
  return () => `s${(last += 1)}`;
};

/** The tenant of a row that has no way of its own: that of the rows which use it; where several do, the first by key, or none. */
export function tenantByUse(
  graph: TenantGraph,
  table: TableName,
  rule: TableRule,
  alias: string,
  aliases: Aliases,
): JoinedExpression {
  const name = aliases();
  const [first] = rule.usedBy;
  const keys = first?.parentColumns.map((_, i) => `k${i}`).join(', ') ?? '';
  const on =
    first?.parentColumns.map((column, i) => `${name}.k${i} = ${alias}.${ident(column)}`).join(' and ') ?? 'false';
  const several = `${name}.first <> ${name}.last`;
  return {
    joins: [
      `left join (select ${keys}, min(x.tenant) as first, max(x.tenant) as last from (${usesOf(graph, table, rule)}) x where x.tenant is not null group by ${keys}) ${name} on ${on}`,
    ],
    expression:
      rule.sharedRows === 'quarantine' ? `case when ${several} then null else ${name}.first end` : `${name}.first`,
  };
}

/** The graph of a plan whose tables have their columns, and the organization that takes a table's orphans. */
export function columnGraph(plan: Pick<Plan, 'tables' | 'keys' | 'mapping' | 'root' | 'column'>): TenantGraph {
  const nodes = new Map(plan.tables.map((t) => [t.table, t]));
  const filled = (name: TableName): boolean =>
    name === plan.root?.table || (nodes.get(name)?.rule?.usedBy.length ?? 0) > 0;
  return {
    nodes,
    climb: (name, at) => (filled(name) ? `${at}.${ident(plan.column)}` : undefined),
    keys: plan.keys,
    byKey: plan.mapping === null ? undefined : organizationOfKey,
    orphan: (decision) => {
      const slug = organizationSlug(decision);
      return slug === undefined ? undefined : `${orphansFunction(slug)}()`;
    },
  };
}

/**
 * The tenant of the row `alias` by its parents' columns: as decided, and by the ways of `via` alone. `climb`: rows of its own table
 * may have no column yet, so a tree is climbed; `unfilled`: nor may those of tables that stand behind it in the order.
 */
export function tenantByColumns(
  plan: Plan,
  table: TablePlan,
  alias: string,
  aliases: Aliases,
  { climb = false, unfilled = false } = {},
): { readonly decided: JoinedExpression; readonly plain: JoinedExpression } {
  const column = ident(plan.column);
  const graph = columnGraph(plan);
  // in a circle one of the tables is filled first: it cannot read the other's column yet
  const later = new Set(unfilled ? plan.order.slice(plan.order.indexOf(table.table) + 1) : []);
  const open = (name: TableName): boolean => (climb && name === table.table) || (later.has(name) && !byUse(name));
  const byUse = (name: TableName): boolean => (graph.nodes.get(name)?.rule?.usedBy.length ?? 0) > 0;
  const end: RouteEnd = (name, at) => (at === alias || open(name) ? undefined : `${at}.${column}`);
  const plainGraph = { ...graph, nodes: new Map([...graph.nodes, [table.table, withoutRule(table)]]) };
  return {
    decided: tenantOfRow(graph, table.table, alias, aliases, end),
    plain: tenantOfRow(plainGraph, table.table, alias, aliases, end),
  };
}

/** Rows `t` whose tenant is another than the decisions say, and that nobody released to it. */
export function wrongBySql(
  plan: Plan,
  table: TablePlan,
): { joins: readonly string[]; actual: string; expected: string; condition: string } {
  const { decided, plain } = tenantByColumns(plan, table, 't', createAliases());
  const actual = `t.${ident(plan.column)}`;
  const expected = `(${decided.expression})`;
  const lost = `(${expected} is not null and ${actual} is distinct from ${expected})`;
  const kept = `(${expected} is null and (${plain.expression}) is not null and ${actual} is not null)`;
  const released =
    table.primaryKey.length === 0
      ? ''
      : ` and not exists (select from tenantry.adoption_released r where r.table_name = ${literal(table.table)} and r.row_key = ${rowText('t', table)} and r.organization_id = ${actual})`;
  return {
    joins: [...decided.joins, ...plain.joins],
    actual,
    expected,
    condition: `(${lost} or ${kept})${released}`,
  };
}
