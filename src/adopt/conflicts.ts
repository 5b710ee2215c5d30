import { counted } from '../counted.ts';
import type { Queryable, Row } from '../database/sql.ts';
import type { FindingKind, Listing } from './decisions/findings.ts';
import { refuseFixedKeys } from './decisions/new-keys.ts';
import type { TableName } from './inspection.ts';
import type { Plan } from './plan-types.ts';
import { allListings } from './uniques/listing.ts';

/** Rows that cannot belong to one tenant as they are. */
export interface Conflict {
  readonly table: TableName;
  /**
   * `joins tenants`: two of its keys lead to different tenants. `no tenant`: none of its keys leads to one. `shared row`: rows of
   * several tenants refer to it. `copy breaks unique`: it cannot be copied for another tenant. `duplicate value`: a key that is to be unique per tenant cannot be made.
   */
  readonly kind: FindingKind;
  /** What the plan says about these rows; `stop`: nothing yet, so that the adoption cannot begin. */
  readonly decision: string;
  readonly rows: number;
  /** The routes that disagree, `inventory_id → inventory.store_id → store`; one for rows without a tenant. */
  readonly routes: readonly string[];
  /** Keys of the rows, `(17)`, as `rows:` in the plan names them; a place where a table has none. At most `limit`; `rows` is exact. */
  readonly keys: readonly string[];
}

export interface ConflictOptions {
  /** Most keys listed of each conflict. Default 20,000. */
  readonly limit?: number;
}

/**
 * Looks for rows that do not belong to one tenant, on the data as it is, before anything is changed. Every key to a table of
 * tenants is compared with the one the tenant comes by. Reads only.
 *
 * @throws TNT_PLAN_INVALID when rows are to be copied whose keys the database does not make
 */
export async function findConflicts(
  db: Queryable,
  plan: Plan,
  { limit = 20_000 }: ConflictOptions = {},
): Promise<Conflict[]> {
  await refuseFixedKeys(db, plan);
  const conflicts: Conflict[] = [];
  for (const listing of allListings(plan, 'plan')) conflicts.push(...(await count(db, listing, limit)));
  return conflicts;
}

/** Those that stop a run, and those that the plan has an answer for. */
export function byDecision(found: readonly Conflict[]): { conflicts: Conflict[]; decided: Conflict[] } {
  return {
    conflicts: found.filter((conflict) => conflict.decision === 'stop'),
    decided: found.filter((conflict) => conflict.decision !== 'stop'),
  };
}

async function count(db: Queryable, { table, kind, ways, text }: Listing, limit: number): Promise<Conflict[]> {
  const { rows } = await db.query<Row & { decision: string; rows: number; keys: string[] }>(
    `select f.decision, count(*)::float8 as rows, (array_agg(f.key order by f.ord))[1:${limit}] as keys from (${text}) f group by f.decision order by f.decision`,
  );
  return rows.map((row) => ({
    table,
    kind,
    decision: row.decision,
    rows: row.rows,
    routes: ways,
    keys: row.keys,
  }));
}

/** `8,018 rows of public.rental join two tenants (by … and by …)`. */
export function describeConflict({
  table,
  kind,
  rows,
  routes,
}: Pick<Conflict, 'table' | 'kind' | 'rows' | 'routes'>): string {
  const one = rows === 1;
  const some = `${counted(rows, 'row')} of ${table}`;
  switch (kind) {
    case 'joins tenants':
      return `${some} ${one ? 'joins' : 'join'} two tenants: by ${routes.join(' and by ')}`;
    case 'no tenant':
      return `${some} ${one ? 'has' : 'have'} no tenant: by ${routes.join(' or by ')}`;
    case 'shared row':
      return `${some} ${one ? 'is' : 'are'} used by several tenants: ${routes.join(' or ')}`;
    case 'copy breaks unique':
      return `${some} cannot be copied: ${routes.join(', ')} would hold the value twice`;
    case 'duplicate value':
      return `${some} ${one ? 'has' : 'have'} a value that another row of the tenant has: ${routes.join(', ')} cannot be made`;
    default:
      return `${some} ${one ? 'has' : 'have'} another tenant than decided: by ${routes.join(' or by ')}`;
  }
}
