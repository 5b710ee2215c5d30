import { randomUUID } from 'node:crypto';
import type { Context } from '../context/types.ts';
import type { PoolLike } from '../database/kernel.ts';
import type { Queryable, Row } from '../database/sql.ts';

/** A read to be repeated; its values stay in memory and go nowhere but back to the server. */
export interface SampledRead {
  readonly statement: string;
  readonly values?: readonly unknown[] | undefined;
  readonly context: Context | undefined;
}

/**
 * `confirmed`: under enforcement the statement answers differently. `examined`: it answers the same.
 * `unconfirmed`: it could not be compared (it writes, takes too long, or answers differently each time).
 */
export type Verdict = 'confirmed' | 'examined' | 'unconfirmed';

export interface CompareOptions {
  /** For each of the repetitions, in milliseconds. Default 5,000. */
  readonly timeout?: number;
}

/**
 * Repeats a read in one snapshot, as shadow answers it and as enforcement would, and compares the rows. Read-only, so
 * that a function in it cannot change anything; only two numbers leave the server.
 *
 * @param pool plain connections of the application's own login, for this use alone
 */
export async function compareRead(
  pool: PoolLike,
  { statement, values = [], context }: SampledRead,
  { timeout = 5000 }: CompareOptions = {},
): Promise<Verdict> {
  if (!isRead(statement) || highestParameter(statement) > values.length) return 'unconfirmed';
  const client = await pool.connect().catch(() => undefined);
  if (client === undefined) return 'unconfirmed';
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    await client.query(`set local statement_timeout = ${Math.round(timeout)}; set local synchronize_seqscans = off`);
    await setContext(client, context);
    const digest = digestOf(statement);
    const run = async (enforce: 'on' | 'off'): Promise<string> => {
      await client.query(`set local app.shadow_enforce = '${enforce}'`);
      const { rows } = await client.query<Row & { digest: string }>(digest, values);
      return rows.map((row) => row.digest).join();
    };
    const before = await run('off');
    if (before === (await run('on'))) return 'examined';
    return before === (await run('off')) ? 'confirmed' : 'unconfirmed';
  } catch {
    return 'unconfirmed';
  } finally {
    client.release(true); // whatever the statement left on the session goes with it
  }
}

async function setContext(client: Queryable, context: Context | undefined): Promise<void> {
  const tenant = context?.kind === 'tenant' ? context : undefined;
  const user = context?.kind === 'system' ? undefined : context?.userId;
  await client.query(
    `select set_config('app.tenant_id', $1::text, true), set_config('app.tenant_key', $2::text, true), set_config('app.user_id', $3::text, true)`,
    [tenant?.tenantId ?? '', tenant?.tenantKey ?? '', user ?? ''],
  );
}

/** Order is not compared: without ORDER BY it is nobody's promise, and with it hiding rows does not change it. */
function digestOf(statement: string): string {
  const name = `sample_${randomUUID().replaceAll('-', '')}`;
  const text = statement.replace(/[;\s]+$/, '');
  return `with ${name} as materialized (${text}\n)
    select count(*) || ':' || coalesce(sum(pg_catalog.hashtextextended(s::text, 0)::numeric), 0) as digest from ${name} s`;
}

/** Whether the statement reads only, as far as its first word says; the transaction is read-only for the rest. */
export function isRead(statement: string): boolean {
  return /^(?:select|with|values|table)\b/i.test(firstWordOn(statement));
}

/** The text from its first word on: without comments, blanks and parentheses in front. */
function firstWordOn(statement: string): string {
  return statement.replace(/^(?:\s+|\/\*[\s\S]*?\*\/|--[^\n]*\n|\()+/, '');
}

function highestParameter(statement: string): number {
  return Math.max(0, ...[...statement.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
}
