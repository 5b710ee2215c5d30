import { ident } from '../../database/sql.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import { joinCondition, parentRows } from '../join-sql.ts';
import type {
  Aliases,
  JoinedExpression,
  RouteEnd,
  TenantGraph,
  TenantNode,
  tenantByKey,
  tenantOfRow,
} from '../tenant-sql.ts';
import { isRuled, keyIn, rowText } from './rule.ts';
import type { TableRule } from './types.ts';

/** How ways are followed: handed in, because following a way asks for the decisions on it. */
export interface Walk {
  readonly ofRow: typeof tenantOfRow;
  readonly byKey: typeof tenantByKey;
}

/**
 * The tenant of a row by the decisions for its table, around the one that the ways of `via` give: single rows first, then rows
 * that a quarantined way leads elsewhere, then orphans.
 */
export function applyRule(
  walk: Walk,
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
    branches.push(`when ${keyIn(key, keys)} then ${follow(walk.byKey(plain, way, alias, aliases, end))}`);
  }
  for (const { key: way, decision } of rule.ways) {
    if (decision === 'quarantine')
      branches.push(
        `when (${own.expression}) <> ${follow(tenantByWay(walk, graph, way, alias, aliases, end))} then null`,
      );
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
  walk: Walk,
  graph: TenantGraph,
  key: ForeignKey,
  alias: string,
  aliases: Aliases,
  end: RouteEnd,
): JoinedExpression {
  const alone = withoutRules(graph);
  const first = walk.byKey(alone, key, alias, aliases, end);
  if (graph.climb === undefined || graph.nodes.get(key.parent)?.class === 'root') return first;
  const past = walk.byKey(alone, key, alias, aliases, graph.climb);
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

/** Its keys alone. */
export function withoutRule({ class: kind, via }: TenantNode): TenantNode {
  return { class: kind, via };
}

/** `select k0, tenant`: which tenants use which rows of a table, by every key to it. */
export function usesOf(
  walk: Walk,
  graph: TenantGraph,
  table: TableName,
  rule: TableRule,
  end: RouteEnd = () => undefined,
): string {
  const parts = rule.usedBy
    .filter((key) => key.parent === table)
    .map((key) => {
      const user = walk.ofRow(graph, key.table, 'u', innerAliases(), end);
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
  walk: Walk,
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
      `left join (select ${keys}, min(x.tenant) as first, max(x.tenant) as last from (${usesOf(walk, graph, table, rule)}) x where x.tenant is not null group by ${keys}) ${name} on ${on}`,
    ],
    expression:
      rule.sharedRows === 'quarantine' ? `case when ${several} then null else ${name}.first end` : `${name}.first`,
  };
}
