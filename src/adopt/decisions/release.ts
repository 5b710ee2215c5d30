import { translateDatabaseError } from '../../database/database-error.ts';
import type { PoolLike } from '../../database/kernel.ts';
import { withLockRetry } from '../../database/locks.ts';
import { ident, type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { TableName } from '../inspection.ts';
import { type Phase, type Plan, phases, type TablePlan } from '../plan-types.ts';
import { joinCondition } from '../tenant-sql.ts';
import { copyFunction } from './copy-function.ts';
import { mayBeWithout } from './follows.ts';
import { rowText } from './rule.ts';

export interface ReleaseOptions {
  readonly table: TableName;
  /** Keys of rows as `findings` lists them, `(17)`; or every row of the table that is in quarantine. */
  readonly keys: readonly string[] | 'all';
  /** The slug of the organization that gets them. */
  readonly organization: string;
}

export interface ReleaseResult {
  /** Rows that have a tenant now. */
  readonly released: number;
  /** Keys that no row in quarantine has. */
  readonly missing: readonly string[];
}

interface Place {
  readonly pool: PoolLike;
  readonly schema: string;
  readonly run: { readonly id: string; readonly plan: Plan; readonly phase: Phase };
}

/**
 * Gives rows in quarantine to an organization, in one transaction; what waits with them follows. It is recorded, so that later
 * changes of the row do not take it back.
 *
 * @throws TNT_PLAN_INVALID for a table where nothing can be in quarantine; TNT_NOT_FOUND for an unknown organization
 */
export async function releaseRows(place: Place, options: ReleaseOptions): Promise<ReleaseResult> {
  const { plan, phase } = place.run;
  const table = plan.tables.find((t) => t.table === options.table);
  if (table === undefined || !mayBeWithout(plan, table))
    throw new TenantryError('TNT_PLAN_INVALID', `No row of ${options.table} is in quarantine by the plan.`);
  if (table.primaryKey.length === 0)
    throw new TenantryError('TNT_PLAN_INVALID', `${options.table} has no primary key to tell its rows apart.`);
  if (phases.indexOf(phase) < phases.indexOf('backfill'))
    throw new TenantryError('TNT_PLAN_INVALID', 'Nothing is filled yet: write the decision into the plan instead.');
  try {
    return await withLockRetry(place.pool, (tx) => release(tx, place, table, options), { lockTimeout: 300 });
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

async function release(tx: Queryable, place: Place, table: TablePlan, options: ReleaseOptions): Promise<ReleaseResult> {
  const sql = (text: string): string => renderSchema(text, place.schema);
  await tx.query('set local search_path = pg_catalog, pg_temp');
  const { rows: organizations } = await tx.query<Row & { id: string }>(
    sql('select o.id from tenantry.organizations o where o.slug = $1::text'),
    [options.organization],
  );
  const organization = organizations[0]?.id;
  if (organization === undefined)
    throw new TenantryError('TNT_NOT_FOUND', `There is no organization "${options.organization}".`);
  const column = ident(place.run.plan.column);
  const rows = `${table.inherited ? 'only ' : ''}${table.table}`;
  const key = rowText('t', table);
  const wanted = options.keys === 'all' ? null : [...options.keys];
  const { rows: found } = await tx.query<Row & { key: string }>(
    `select ${key} as key from ${rows} t where t.${column} is null and ($1::text[] is null or ${key} = any ($1::text[])) for update`,
    [wanted],
  );
  const keys = found.map((row) => row.key);
  await tx.query(
    sql(`insert into tenantry.adoption_released (run_id, table_name, row_key, organization_id)
         select $1::uuid, $2::text, k, $3::uuid from unnest($4::text[]) k
         on conflict (table_name, row_key) do update set organization_id = excluded.organization_id, released_at = now()`),
    [place.run.id, table.table, organization, keys],
  );
  await tx.query(`update ${rows} t set ${column} = $1::uuid where t.${column} is null and ${key} = any ($2::text[])`, [
    organization,
    keys,
  ]);
  if (phases.indexOf(place.run.phase) >= phases.indexOf('enforced')) await takeCopies(tx, place, table, keys);
  return { released: keys.length, missing: (wanted ?? []).filter((k) => !keys.includes(k)) };
}

/** What the rows share with other tenants they get copies of, as every other row did. */
async function takeCopies(tx: Queryable, place: Place, table: TablePlan, keys: readonly string[]): Promise<void> {
  const column = ident(place.run.plan.column);
  for (const { key, decision } of table.rule?.ways ?? []) {
    const parent = place.run.plan.tables.find((t) => t.table === key.parent);
    if (decision !== 'duplicate' || parent === undefined) continue;
    const child = ident(key.columns[0] ?? '');
    await tx.query(
      renderSchema(
        `update ${table.table} t set ${child} = ${copyFunction(parent)}(t.${child}, t.${column}) from ${parent.table} p
         where ${rowText('t', table)} = any ($1::text[]) and ${joinCondition(key, 't', 'p')} and p.${column} is distinct from t.${column}`,
        place.schema,
      ),
      [keys],
    );
  }
}
