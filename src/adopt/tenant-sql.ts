import { ident } from '../database/sql.ts';
import type { TableClass } from './classify.ts';
import { hasTenant } from './classify.ts';
import type { ForeignKey, TableName } from './inspection.ts';
import { joinCondition, parentRows } from './join-sql.ts';
import { applyRule, tenantByUse, type Walk } from './decisions/apply-rule.ts';
import type { OrphanDecision, TableRule } from './decisions/types.ts';
import { organizationKey, type OrganizationKeys } from './key-text.ts';

export { joinCondition, keyPresent, parentRows } from './join-sql.ts';

/** What the SQL of a route needs to know of each table. */
export interface TenantNode {
  readonly class: TableClass;
  readonly via: readonly ForeignKey[];
  readonly primaryKey?: readonly string[];
  /** What is decided about rows that do not belong to one tenant as they are. */
  readonly rule?: TableRule;
}

export interface TenantGraph {
  readonly nodes: ReadonlyMap<TableName, TenantNode>;
  /** The columns that hold the organization's key: in the root, or in the tables that a mapping names. */
  readonly keys: OrganizationKeys;
  /** What stands for a key of a mapping, as SQL: the organization, or the key where there is one of it. */
  readonly byKey?: ((key: string) => string) | undefined;
  /** The organization that takes a table's orphans, as SQL. */
  readonly orphan?: (decision: OrphanDecision) => string | undefined;
  /** Where ways end that are followed past rows without a tenant. */
  readonly climb?: RouteEnd;
}

/** The key of a row as text, for lists. */
export function rootKeyText(alias: string, key: readonly string[]): string {
  return key.map((column) => `${alias}.${ident(column)}::text`).join(` || ':' || `);
}

/** SQL in two parts: left joins to add behind the row's table, and the expression they make possible. */
export interface JoinedExpression {
  readonly joins: readonly string[];
  readonly expression: string;
}

/** Hands out aliases that are unique in one statement. */
export type Aliases = () => string;
export function createAliases(prefix = 'p'): Aliases {
  let last = 0;
  return () => `${prefix}${(last += 1)}`;
}

/** What stands at the end of every route: the root key as text, or the column once it is there. */
export type RouteEnd = (table: TableName, alias: string) => string | undefined;

/**
 * The tenant of the row `alias` of `table`, by the plan's own keys; null where a key is null or leads nowhere. Left joins,
 * so that the planner may hash a large parent instead of looking up each row.
 */
export function tenantOfRow(
  graph: TenantGraph,
  table: TableName,
  alias: string,
  aliases: Aliases,
  end: RouteEnd = () => undefined,
): JoinedExpression {
  const ended = end(table, alias);
  if (ended !== undefined) return { joins: [], expression: ended };
  const node = graph.nodes.get(table);
  const held = graph.keys[table];
  if (held !== undefined) {
    const key = organizationKey(alias, held);
    const own = { joins: [], expression: graph.byKey?.(key) ?? key };
    return node?.class === 'root' ? own : applyRule(walk, graph, table, alias, aliases, end, own);
  }
  if (node?.rule !== undefined && node.via.length === 0 && node.rule.usedBy.length > 0)
    return tenantByUse(walk, graph, table, node.rule, alias, aliases);
  const routes = (node?.via ?? []).map((key) => tenantByKey(graph, key, alias, aliases, end));
  const expressions = routes.map((route) => route.expression);
  return applyRule(walk, graph, table, alias, aliases, end, {
    joins: routes.flatMap((route) => route.joins),
    expression:
      expressions.length === 1 ? (expressions[0] ?? 'null') : `coalesce(${[...expressions, 'null'].join(', ')})`,
  });
}

/** The tenant of the row `alias` by one given key. */
export function tenantByKey(
  graph: TenantGraph,
  key: ForeignKey,
  alias: string,
  aliases: Aliases,
  end: RouteEnd = () => undefined,
): JoinedExpression {
  const parent = aliases();
  if (key.parent === key.table && end(key.parent, parent) === undefined)
    return climbTree(graph, key, alias, aliases, end);
  const above = tenantOfRow(graph, key.parent, parent, aliases, end);
  return {
    joins: [`left join ${parentRows(key)} ${parent} on ${joinCondition(key, alias, parent)}`, ...above.joins],
    expression: above.expression,
  };
}

/** What the decisions need to follow ways themselves. */
export const walk: Walk = { ofRow: tenantOfRow, byKey: tenantByKey };

/** Levels of a tree that are climbed; a circle in the data ends there too. */
const highest = 100;

/** A key to the row's own table: the nearest row above it that another of its ways leads from. */
function climbTree(
  graph: TenantGraph,
  key: ForeignKey,
  alias: string,
  aliases: Aliases,
  end: RouteEnd,
): JoinedExpression {
  const { table } = key;
  const node = graph.nodes.get(table);
  if (node === undefined) return { joins: [], expression: 'null' };
  const others = { ...node, via: node.via.filter((way) => way.parent !== table) };
  const [up, row] = [aliases(), aliases()];
  const above = tenantOfRow({ ...graph, nodes: new Map([...graph.nodes, [table, others]]) }, table, up, aliases, end);
  return {
    joins: [],
    expression: `(select ${above.expression} from (with recursive ${row} as (
        select a.*, 1 as tenantry_level from ${parentRows(key)} a where ${joinCondition(key, alias, 'a')}
        union all select b.*, ${row}.tenantry_level + 1 from ${row} join ${parentRows(key)} b on ${joinCondition(key, row, 'b')} where ${row}.tenantry_level < ${highest})
      select * from ${row}) ${up} ${above.joins.join(' ')} where ${above.expression} is not null order by ${up}.tenantry_level limit 1)`,
  };
}

/** The tables of a graph with a tenant column, parents before children. */
export function parentsFirst(graph: TenantGraph): TableName[] {
  const order: TableName[] = [];
  const state = new Map<TableName, 'open' | 'done'>();
  const visit = (table: TableName): void => {
    if (state.has(table)) return;
    state.set(table, 'open');
    for (const key of graph.nodes.get(table)?.via ?? []) visit(key.parent);
    const rule = graph.nodes.get(table)?.rule;
    for (const key of rule?.usedBy ?? []) visit(key.table);
    // what decides about a row's tenant beside its ways; where that is a circle, the way up is climbed
    for (const way of rule?.ways ?? []) if (way.decision === 'quarantine') visit(way.key.parent);
    for (const row of rule?.rows ?? []) if (row.way !== null) visit(row.way.parent);
    state.set(table, 'done');
    order.push(table);
  };
  for (const [table, node] of graph.nodes) if (node.class === 'root') visit(table);
  for (const [table, node] of graph.nodes) if (hasTenant(node.class)) visit(table);
  return order.filter((table) => hasTenant(graph.nodes.get(table)?.class));
}
