import type { Queryable, Row } from '../database/sql.ts';
import { hasTenant } from './classify.ts';
import { keyLabel } from './graph.ts';
import type { ForeignKey, TableName } from './inspection.ts';
import type { Plan, TablePlan } from './plan-types.ts';
import { rowKey } from './steps/verify.ts';
import { createAliases, type TenantGraph, tenantByKey, tenantOfRow } from './tenant-sql.ts';

/** Rows that cannot belong to one tenant as they are. */
export interface Conflict {
  readonly table: TableName;
  /** `joins tenants`: two of its keys lead to different tenants. `no tenant`: none of its keys leads to one. */
  readonly kind: 'joins tenants' | 'no tenant';
  readonly rows: number;
  /** The routes that disagree, `inventory_id → inventory.store_id → store`; one for rows without a tenant. */
  readonly routes: readonly string[];
  /** Primary keys of the rows, as text; a place where a table has none. At most `limit`; `rows` is exact. */
  readonly keys: readonly string[];
}

export interface ConflictOptions {
  /** Most keys listed of each conflict. Default 20,000. */
  readonly limit?: number;
}

/** The graph of a plan, for the SQL of its routes. */
export function planGraph(plan: Plan): TenantGraph {
  return { nodes: new Map(plan.tables.map((table) => [table.table, table])), rootKey: plan.root?.key ?? [] };
}

/**
 * Looks for rows that join two tenants, on the data as it is, before anything is changed. Every key to a table of tenants is
 * compared with the one the tenant comes by. Reads only.
 */
export async function findConflicts(
  db: Queryable,
  plan: Plan,
  { limit = 20_000 }: ConflictOptions = {},
): Promise<Conflict[]> {
  if (plan.root === null) return [];
  const conflicts: Conflict[] = [];
  for (const table of plan.tables) {
    if (!hasTenant(table.class)) continue;
    for (const key of table.checks) {
      const found = await read(db, disagreement(plan, table, key, limit));
      if (found.rows > 0) {
        const routes = [...table.via.slice(0, 1), key].map((via) => describeKey(plan, table.table, via));
        conflicts.push({ table: table.table, kind: 'joins tenants', routes, ...found });
      }
    }
    if (table.class === 'root' || table.required === 'never') continue;
    const orphans = await read(db, withoutTenant(plan, table, limit));
    if (orphans.rows > 0) {
      const routes = table.via.map((via) => describeKey(plan, table.table, via));
      conflicts.push({ table: table.table, kind: 'no tenant', routes, ...orphans });
    }
  }
  return conflicts;
}

async function read(db: Queryable, text: string): Promise<{ rows: number; keys: string[] }> {
  const { rows } = await db.query<Row & { rows: number; keys: string[] | null }>(text);
  return { rows: rows[0]?.rows ?? 0, keys: rows[0]?.keys ?? [] };
}

function listing(table: TablePlan, from: string, where: string, limit: number): string {
  const order =
    table.primaryKey.length === 0
      ? 't.ctid'
      : table.primaryKey.map((_, i) => `t.${quote(table.primaryKey[i] ?? '')}`).join(', ');
  return `select count(*)::float8 as rows, (array_agg(${rowKey(table, 't')} order by ${order}))[1:${limit}] as keys from ${from} where ${where}`;
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function disagreement(plan: Plan, table: TablePlan, key: ForeignKey, limit: number): string {
  const graph = planGraph(plan);
  const aliases = createAliases();
  const own = tenantOfRow(graph, table.table, 't', aliases);
  const other = tenantByKey(graph, key, 't', aliases);
  const from = `${table.table} t ${[...own.joins, ...other.joins].join(' ')}`;
  return listing(table, from, `(${own.expression}) <> (${other.expression})`, limit);
}

function withoutTenant(plan: Plan, table: TablePlan, limit: number): string {
  const own = tenantOfRow(planGraph(plan), table.table, 't', createAliases());
  return listing(table, `${table.table} t ${own.joins.join(' ')}`, `(${own.expression}) is null`, limit);
}

function describeKey(plan: Plan, table: TableName, key: ForeignKey): string {
  const byName = new Map(plan.tables.map((t) => [t.table, t]));
  const parts = [`${table}.${keyLabel(key)}`];
  const seen = new Set<TableName>();
  let at = key.parent;
  for (let next = byName.get(at)?.via[0]; next !== undefined && !seen.has(at); next = byName.get(at)?.via[0]) {
    seen.add(at);
    parts.push(`${at}.${keyLabel(next)}`);
    at = next.parent;
  }
  return [...parts, at].join(' → ');
}

/** `8,018 rows of public.rental join two tenants (by … and by …)`. */
export function describeConflict({ table, kind, rows, routes }: Conflict): string {
  const count = rows.toLocaleString('en-US');
  return kind === 'joins tenants'
    ? `${count} rows of ${table} join two tenants: by ${routes.join(' and by ')}`
    : `${count} rows of ${table} have no tenant: by ${routes.join(' or by ')}`;
}
