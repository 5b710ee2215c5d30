import { ident, literal } from '../database/sql.ts';
import type { TableClass } from './classify.ts';
import { hasTenant } from './classify.ts';
import type { ForeignKey, TableName } from './inspection.ts';
import { convert } from './references/comparable.ts';

/** What the SQL of a route needs to know of each table. */
export interface TenantNode {
  readonly class: TableClass;
  readonly via: readonly ForeignKey[];
}

export interface TenantGraph {
  readonly nodes: ReadonlyMap<TableName, TenantNode>;
  /** Primary key columns of the root. */
  readonly rootKey: readonly string[];
}

/** The join of a child's alias with its parent's: `p.id = t.customer_id`. */
export function joinCondition(key: ForeignKey, child: string, parent: string): string {
  const equal = key.columns.map((column, i) => {
    const value = convert(`${child}.${ident(column)}`, key.conversions?.[i] ?? 'none');
    return `${parent}.${ident(key.parentColumns[i] ?? '')} = ${value}`;
  });
  return [...equal, ...discriminated(key, child)].join(' and ');
}

/** True for a row whose key says where it leads: no column is null, and the discriminator has the key's value. */
export function keyPresent(key: ForeignKey, child: string): string {
  return [...key.columns.map((column) => `${child}.${ident(column)} is not null`), ...discriminated(key, child)].join(
    ' and ',
  );
}

function discriminated({ when }: ForeignKey, child: string): string[] {
  return when === undefined ? [] : [`${child}.${ident(when.column)} = ${literal(when.value)}`];
}

/** The parent's own rows, without those of tables that inherit from it: a key never means those. */
export function parentRows(key: ForeignKey): string {
  return key.parentOnly === true ? `only ${key.parent}` : key.parent;
}

/** The key of a root row as text: what `organizations.key` holds. */
export function rootKeyText(alias: string, rootKey: readonly string[]): string {
  return rootKey.map((column) => `${alias}.${ident(column)}::text`).join(` || ':' || `);
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
  if (node?.class === 'root') return { joins: [], expression: rootKeyText(alias, graph.rootKey) };
  const routes = (node?.via ?? []).map((key) => tenantByKey(graph, key, alias, aliases, end));
  const expressions = routes.map((route) => route.expression);
  return {
    joins: routes.flatMap((route) => route.joins),
    expression:
      expressions.length === 1 ? (expressions[0] ?? 'null') : `coalesce(${[...expressions, 'null'].join(', ')})`,
  };
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
  const above = tenantOfRow(graph, key.parent, parent, aliases, end);
  return {
    joins: [`left join ${parentRows(key)} ${parent} on ${joinCondition(key, alias, parent)}`, ...above.joins],
    expression: above.expression,
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
    state.set(table, 'done');
    order.push(table);
  };
  for (const [table, node] of graph.nodes) if (node.class === 'root') visit(table);
  for (const [table, node] of graph.nodes) if (hasTenant(node.class)) visit(table);
  return order.filter((table) => hasTenant(graph.nodes.get(table)?.class));
}
