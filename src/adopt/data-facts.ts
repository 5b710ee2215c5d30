import { ident, type Queryable } from '../database/sql.ts';
import { type Classification, classifyTables, type Decisions, hasTenant } from './classify.ts';
import type { ForeignKey, Inspection, TableName } from './inspection.ts';
import { keysTo } from './lookups.ts';
import { organizationKeys } from './roots.ts';
import { createAliases, type TenantGraph, tenantOfRow } from './tenant-sql.ts';

/** How rows of tables without a route to the root are used by tenants' rows. */
export interface UsageFacts {
  /** Rows that a tenant's row refers to. */
  readonly used: number;
  /** Those that several tenants refer to. */
  readonly byMany: number;
}

/** Rows read of each referring table: enough to tell reference data from tenants' data, bounded on a large one. */
const sample = 200_000;
const deepest = 3;

/** The graph of a classification, for the SQL of its routes. */
export function graphOf(inspection: Inspection, classes: readonly Classification[], decisions: Decisions): TenantGraph {
  return {
    nodes: new Map(classes.map((c) => [c.table, c])),
    keys: organizationKeys(inspection, decisions),
  };
}

/** Asks the data how tables without a route are used. Reads only, and at most a sample of each referring table. */
export async function readUsage(
  db: Queryable,
  inspection: Inspection,
  decisions: Decisions,
): Promise<Map<TableName, UsageFacts>> {
  const facts = new Map<TableName, UsageFacts>();
  if (decisions.constant !== undefined) return facts;
  const classes = classifyTables(inspection, { ...decisions, tables: {} });
  const graph = graphOf(inspection, classes, decisions);
  for (const { table, class: kind } of classes) {
    if (hasTenant(kind) || kind === 'shared') continue;
    const relation = usageRelation(inspection, graph, table, new Set());
    if (relation === undefined) continue;
    const keys = relation.columns.map((_, i) => `k${i}`).join(', ');
    const { rows } = await db.query<{ used: number; byMany: number }>(
      `select count(*)::int as used, count(*) filter (where tenants > 1)::int as "byMany"
       from (select count(distinct tenant) as tenants from (${relation.text}) u where tenant is not null group by ${keys}) g`,
    );
    if (rows[0] !== undefined) facts.set(table, rows[0]);
  }
  return facts;
}

interface UsageRelation {
  readonly columns: readonly string[];
  readonly text: string;
}

/** `select k0, …, tenant`: the keys of `table` that tenants' rows refer to, through up to three tables. */
function usageRelation(
  inspection: Inspection,
  graph: TenantGraph,
  table: TableName,
  seen: ReadonlySet<TableName>,
): UsageRelation | undefined {
  if (seen.size >= deepest) return undefined;
  const incoming = keysTo(inspection.foreignKeys, table).filter((key) => key.table !== table);
  const columns = incoming[0]?.parentColumns;
  if (columns === undefined) return undefined;
  const parts = incoming
    .filter((key) => key.parentColumns.join() === columns.join())
    .flatMap((key) => referring(inspection, graph, key, new Set([...seen, table])) ?? []);
  return parts.length === 0 ? undefined : { columns, text: parts.join(' union all ') };
}

function referring(
  inspection: Inspection,
  graph: TenantGraph,
  key: ForeignKey,
  seen: ReadonlySet<TableName>,
): string | undefined {
  if (seen.has(key.table)) return undefined;
  const keys = key.columns.map((column, i) => `c.${ident(column)} as k${i}`).join(', ');
  const present = key.columns.map((column) => `c.${ident(column)} is not null`).join(' and ');
  if (hasTenant(graph.nodes.get(key.table)?.class)) {
    const tenant = tenantOfRow(graph, key.table, 'c', createAliases());
    return `(select ${keys}, ${tenant.expression} as tenant from ${key.table} c ${tenant.joins.join(' ')} where ${present} limit ${sample})`;
  }
  const above = usageRelation(inspection, graph, key.table, seen);
  if (above === undefined) return undefined;
  const on = above.columns.map((column, i) => `u.k${i} = c.${ident(column)}`).join(' and ');
  return `(select ${keys}, u.tenant from ${key.table} c join (${above.text}) u on ${on} where ${present} limit ${sample})`;
}
