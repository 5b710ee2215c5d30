import { AssertionError } from 'node:assert';
import { withTenant } from '../context/context.ts';
import type { TenantContextInput } from '../context/validate.ts';
import { sqlStateOf } from '../database/database-error.ts';
import type { PoolLike } from '../database/kernel.ts';
import { ident, type Queryable, type Row } from '../database/sql.ts';

export interface ExpectIsolatedOptions {
  /** The application's pool, as the application uses it. */
  readonly pool: PoolLike;
  /** Who has rows: seeing none would prove nothing. */
  readonly as: TenantContextInput;
  /** Who must not see, change or remove any of them. */
  readonly others: readonly TenantContextInput[];
}

/** A table, `schema.table` or `table`, or a query. */
export type IsolationTarget = string | { readonly text: string; readonly values?: readonly unknown[] };

/**
 * Fails unless the rows that one tenant sees are neither seen nor, for a table, removable by the others. What it tries is
 * rolled back.
 *
 * @throws AssertionError naming the tenant that crossed and how many rows
 * @example
 * ```ts
 * await expectIsolated('notes', { pool, as: { tenantId: acme }, others: [{ tenantId: globex }] });
 * await expectIsolated({ text: 'select * from note_totals' }, { pool, as: { tenantId: acme }, others: [{ tenantId: globex }] });
 * ```
 */
export async function expectIsolated(target: IsolationTarget, options: ExpectIsolatedOptions): Promise<void> {
  const { pool, as, others } = options;
  const table = typeof target === 'string' ? target.split('.').map(ident).join('.') : undefined;
  const what = typeof target === 'string' ? target : 'the query';
  const read = typeof target === 'string' ? { text: `select * from ${table}`, values: [] } : { values: [], ...target };
  if (others.length === 0) fail(`expectIsolated(${what}) needs somebody in "others".`);

  const own = keysOf(await withTenant(as, () => rowsOf(pool, read.text, read.values)));
  if (own.size === 0) fail(`${as.tenantId} sees no row of ${what}: insert some first, or nothing is shown.`);
  for (const other of others) {
    if (other.tenantId === as.tenantId && other.userId === as.userId) {
      fail(`expectIsolated(${what}): "others" names ${as.tenantId} itself.`);
    }
    const seen = await withTenant(other, () => rowsOf(pool, read.text, read.values));
    report(shared(own, seen), 'sees', other.tenantId, as.tenantId, what);
    if (table === undefined) continue;
    const removed = await withTenant(other, () => tryDelete(pool, table));
    report(shared(own, removed), 'can delete', other.tenantId, as.tenantId, what);
  }
}

async function rowsOf(target: Queryable, text: string, values: readonly unknown[]): Promise<Row[]> {
  return (await target.query(text, values)).rows;
}

/** What a delete of everything would take, rolled back; nothing when the login may not, or a constraint holds it. */
async function tryDelete(pool: PoolLike, table: string): Promise<Row[]> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    return await rowsOf(client, `delete from ${table} returning *`, []);
  } catch (error) {
    if (['42501', '23503', '23514', '55000'].includes(sqlStateOf(error) ?? '')) return [];
    throw error;
  } finally {
    await client.query('rollback');
    client.release();
  }
}

const keysOf = (rows: Row[]): Set<string> => new Set(rows.map((row) => JSON.stringify(row, bigintAsText)));
const bigintAsText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}n` : value);
const shared = (own: Set<string>, rows: Row[]): number => [...keysOf(rows)].filter((key) => own.has(key)).length;

function report(count: number, verb: string, other: string, as: string, what: string): void {
  if (count > 0) fail(`${other} ${verb} ${count} row(s) of ${as} in ${what}.`);
}

function fail(message: string): never {
  throw new AssertionError({ message, stackStartFn: expectIsolated });
}
