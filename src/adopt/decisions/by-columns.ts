import { ident, literal } from '../../database/sql.ts';
import type { TableName } from '../inspection.ts';
import { once } from '../lookups.ts';
import { organizationOfKey } from '../key-text.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { orphansFunction } from '../steps/names.ts';
import {
  type Aliases,
  createAliases,
  type JoinedExpression,
  type RouteEnd,
  type TenantGraph,
  tenantOfRow,
} from '../tenant-sql.ts';
import { withoutRule } from './apply-rule.ts';
import { organizationSlug, rowText } from './rule.ts';

const nodesOf = once((tables: readonly TablePlan[]) => new Map(tables.map((table) => [table.table, table])));

/** The graph of a plan whose tables have their columns, and the organization that takes a table's orphans. */
export function columnGraph(plan: Pick<Plan, 'tables' | 'keys' | 'mapping' | 'root' | 'column'>): TenantGraph {
  const nodes = nodesOf(plan.tables);
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
