import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientLike } from '../../database/kernel.ts';
import type { Row } from '../../database/sql.ts';
import { isWaitedFor } from './backfill-queries.ts';
import { assertGoing, type RunContext } from './steps-run.ts';

const lookEvery = 250;

/** Nobody but this process stops it, so it must not outlive this process. PostgreSQL 18 takes the children of a table along unless told not to. */
const prepare = `select pg_catalog.set_config('statement_timeout', '0', false), pg_catalog.set_config('client_connection_check_interval', '1000', false),
    case when pg_catalog.current_setting('server_version_num')::int >= 180000 then 'only ' else '' end as only`;

/**
 * Vacuums what a backfill has just filled, in the session that filled it, while nobody else is at work. Autovacuum would come anyway,
 * a minute later and behind the next checkpoint: each page that it touches is in the log once more then, as a whole and uncompressed.
 *
 * It gives way as autovacuum does, within a quarter of a second: to whoever waits for the table, and to others at work. It cuts nothing
 * off the table's end, which takes a lock that readers would feel. It is a help: nothing fails without it.
 *
 * @returns whether the session was used for it, and is to be closed
 */
export async function tidy(context: RunContext, client: ClientLike, pid: number, relation: string): Promise<boolean> {
  if (!(await context.pace.alone())) return false;
  let over = false;
  const vacuum = runVacuum(client, relation)
    .catch(() => undefined)
    .finally(() => {
      over = true;
    });
  for (let stopped = false; !over; ) {
    await Promise.race([vacuum, sleep(lookEvery)]);
    if (over || stopped || !(await mustStop(context, pid))) continue;
    stopped = true;
    await context.pool.query('select pg_catalog.pg_cancel_backend($1::int)', [pid]).catch(() => undefined);
  }
  return true;
}

async function runVacuum(client: ClientLike, relation: string): Promise<void> {
  const { rows } = await client.query<Row & { only: string }>(prepare);
  await client.query(
    `vacuum (skip_locked, truncate false, process_toast false, parallel 0) ${rows[0]?.only ?? ''}${relation}`,
  );
}

async function mustStop(context: RunContext, pid: number): Promise<boolean> {
  try {
    assertGoing(context);
    return !(await context.pace.alone()) || (await isWaitedFor(context.pool, pid));
  } catch {
    return true;
  }
}
