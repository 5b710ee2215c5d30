import { counted } from '../counted.ts';
import { sqlStateOf } from '../database/database-error.ts';
import type { Queryable, Row } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { rootKeys } from './memberships/read-sql.ts';
import type { Plan } from './plan-types.ts';

const listed = 1000;

/**
 * Looks at the keys that organizations would get, before anything is changed.
 *
 * @throws TNT_ADOPT_ROOT_KEYS listing those that several rows have, or how many have none
 * @throws TNT_PLAN_INVALID when the mapping query cannot be run, or has no column `key`
 */
export async function requireRootKeys(db: Queryable, plan: Plan): Promise<void> {
  if (plan.constant !== null) return;
  const source = plan.mapping === null ? (plan.root?.table ?? '') : 'root.query';
  if (plan.mapping !== null) await tryQuery(db, plan.mapping.query);
  const { rows } = await db.query<Row & { key: string | null; rows: number; total: number }>(
    `select k.key, k.rows::float8 as rows, count(*) over ()::int as total
     from (select r.key, count(*) as rows from (${rootKeys(plan)}) r group by 1) k
     where k.key is null or k.rows > 1 order by 1 nulls first limit ${listed}`,
  );
  if (rows.length === 0) return;
  const nulls = rows.find(({ key }) => key === null);
  const duplicates = rows.filter(({ key }) => key !== null);
  const columns = plan.root === null ? 'key' : plan.root.key.join(', ');
  const shown = duplicates.slice(0, 10).map(({ key, rows: count }) => `${key ?? ''} (${counted(count, 'row')})`);
  const parts = [
    ...(nulls === undefined ? [] : [`${counted(nulls.rows, 'row has', 'rows have')} no key`]),
    ...(duplicates.length === 0
      ? []
      : [`several rows have the key ${shown.join(', ')}${duplicates.length > shown.length ? ', …' : ''}`]),
  ];
  throw new TenantryError(
    'TNT_ADOPT_ROOT_KEYS',
    `${source} does not tell its organizations apart by ${columns}: ${parts.join(', and ')}.`,
    { details: { source, columns, keys: duplicates.map(({ key }) => key), nulls: nulls?.rows ?? 0 } },
  );
}

async function tryQuery(db: Queryable, query: string): Promise<void> {
  await db.query('savepoint mapping');
  try {
    await db.query(`select q.key from (${query}\n) q limit 0`);
    await db.query('release savepoint mapping');
  } catch (error) {
    await db.query('rollback to savepoint mapping');
    if (sqlStateOf(error) === undefined || !(error instanceof Error)) throw error;
    throw new TenantryError('TNT_PLAN_INVALID', `root.query cannot be run: ${error.message}.`, {
      cause: error,
      hint: 'It is one SELECT that returns key (and name), every table with its schema: select code as key, label as name from legacy.customers',
    });
  }
}

/** How many organizations there will be: one per row of the root or of the mapping, or the constant one. */
export async function countOrganizations(db: Queryable, plan: Plan): Promise<number> {
  if (plan.constant !== null) return 1;
  const { rows } = await db.query<Row & { count: number }>(
    `select count(*)::float8 as count from (${rootKeys(plan)}) r`,
  );
  return rows[0]?.count ?? 0;
}
