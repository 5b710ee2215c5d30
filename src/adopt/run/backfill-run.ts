import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike } from '../../database/kernel.ts';
import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { BackfillStep } from '../plan-types.ts';
import type { BackfillCursor } from './state.ts';
import { assertGoing, mark, type RunContext } from './steps-run.ts';

export interface BackfillOptions {
  /** Most rows per second; unlimited by default. */
  readonly maxRate?: number;
  /** Asked before each window: milliseconds to wait (replication lag, load), or 0. */
  readonly throttle?: (progress: { table: string; rows: number; rowsPerSecond: number }) => Promise<number> | number;
  /** Longest time that one transaction of the backfill should take, in milliseconds. Default 100. */
  readonly batchMilliseconds?: number;
}

/** Stripes of a window: each commits, so that the server prunes a page before the next one comes to it. */
const stripes = 8;
/** A table of fewer pages is not worth stripes: all of it is a handful of short transactions. */
const fewPages = 64;
const mostPages = 4096;
/**
 * Limits of one batch. Together they stay below deadlock_timeout (1 s): a batch gives way before the server would choose a victim,
 * so that the victim is never the application.
 */
const statementTimeout = 600;
const lockTimeout = 100;
const lockAttempts = 400;

/** Fills the column of one relation from page 0 to the last page it had when it began, resuming at the cursor. */
export async function runBackfill(
  context: RunContext,
  step: BackfillStep,
  cursor: BackfillCursor | null,
  options: BackfillOptions,
): Promise<void> {
  await mark(context, context.pool, step.id, 'running');
  const client = await context.pool.connect();
  try {
    // for this session alone: the connection is closed afterwards
    await client.query(
      `set search_path = pg_catalog, pg_temp; set app.adopt_backfill = 'on'; set jit = off;
       set lock_timeout = ${lockTimeout}; set statement_timeout = ${statementTimeout}`,
    );
    const pages = cursor?.pages ?? (await selectPages(client, step.relation));
    await passOver(context, client, step, { page: cursor?.page ?? 0, pages }, options);
  } finally {
    client.release(true);
  }
  await mark(context, context.pool, step.id, 'done');
}

async function passOver(
  context: RunContext,
  client: ClientLike,
  step: BackfillStep,
  from: BackfillCursor,
  options: BackfillOptions,
): Promise<void> {
  const { pages } = from;
  const goal = options.batchMilliseconds ?? 100;
  const text = stripeStatement(step, context.schema);
  const started = performance.now();
  let window = 64;
  let rows = 0;
  let pinned = await horizonIsPinned(context.pool);
  let lastLook = performance.now();
  for (let { page } = from; page < pages; ) {
    assertGoing(context);
    await throttle(options, step.relation, rows, started);
    if (performance.now() - lastLook > 2000) {
      pinned = await horizonIsPinned(context.pool);
      lastLook = performance.now();
    }
    const end = Math.min(page + window, pages);
    const parts = pinned || pages <= fewPages ? 1 : stripes;
    let slowest = 0;
    try {
      for (let stripe = 0; stripe < parts; stripe += 1) {
        assertGoing(context);
        const before = performance.now();
        const reached = { page: stripe === parts - 1 ? end : page, pages };
        rows += await runStripe(context, client, step, text, [page, end, parts, stripe], reached);
        slowest = Math.max(slowest, performance.now() - before);
      }
    } catch (error) {
      // 57014: the batch was too large for its time; nothing of it was committed
      if (sqlStateOf(error) !== '57014' || window === 1) throw error;
      window = Math.max(1, Math.floor(window / 4));
      continue;
    }
    page = end;
    if (slowest < goal / 3) window = Math.min(mostPages, window * 2);
    else if (slowest > goal) window = Math.max(1, Math.floor(window / 2));
    const seconds = (performance.now() - started) / 1000;
    await context.onEvent({
      type: 'progress',
      phase: step.phase,
      table: step.relation,
      rows,
      fraction: page / pages,
      rowsPerSecond: Math.round(rows / Math.max(seconds, 0.001)),
      secondsLeft: Math.round((seconds / Math.max(page - from.page, 1)) * (pages - page)),
      striped: parts > 1,
    });
  }
}

/**
 * Rows and cursor in one statement: one round trip, and one transaction. Whoever has lost the lease fills nothing.
 * `$1`–`$4` are the plan's own, then run, runner, step and cursor.
 */
function stripeStatement(step: BackfillStep, schema: string): string {
  const held = `exists (select from tenantry.adoption_runs r where r.id = $5::uuid and r.runner = $6::uuid)`;
  return renderSchema(
    `with filled as (${step.up[0]?.text ?? ''} and ${held} returning 1)
     update tenantry.adoption_steps s set cursor = $8::jsonb, rows_done = s.rows_done + (select count(*) from filled)
     where s.run_id = $5::uuid and s.id = $7::text and ${held}
     returning (select count(*) from filled)::int as rows`,
    schema,
  );
}

async function runStripe(
  context: RunContext,
  client: ClientLike,
  step: BackfillStep,
  text: string,
  window: readonly number[],
  reached: BackfillCursor,
): Promise<number> {
  const { runId, runner } = context.lease.fence;
  for (let attempt = 1; ; attempt += 1) {
    const started = performance.now();
    try {
      const { rows } = await client.query<Row & { rows: number }>(text, [
        ...window,
        runId,
        runner,
        step.id,
        JSON.stringify(reached),
      ]);
      if (rows[0] === undefined) {
        throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process has taken over this adoption.');
      }
      return rows[0].rows;
    } catch (error) {
      const state = sqlStateOf(error);
      if ((state !== '55P03' && state !== '40P01') || attempt >= lockAttempts) throw error;
      await context.onEvent({
        type: 'lock',
        id: step.id,
        attempt,
        outcome: state === '40P01' ? 'deadlock' : 'lock timeout',
        milliseconds: performance.now() - started,
        blockers: [],
      });
      assertGoing(context);
      await sleep(Math.min(500, 10 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2));
    }
  }
}

async function throttle(options: BackfillOptions, table: string, rows: number, started: number): Promise<void> {
  const seconds = (performance.now() - started) / 1000;
  const ahead = options.maxRate === undefined ? 0 : (rows / options.maxRate - seconds) * 1000;
  const asked = (await options.throttle?.({ table, rows, rowsPerSecond: rows / Math.max(seconds, 0.001) })) ?? 0;
  const wait = Math.max(ahead, asked);
  if (wait > 0) await sleep(wait);
}

async function selectPages(db: Queryable, relation: string): Promise<number> {
  const { rows } = await db.query<Row & { pages: number }>(
    `select (pg_catalog.pg_relation_size($1::regclass) / current_setting('block_size')::bigint)::float8 as pages`,
    [relation],
  );
  return rows[0]?.pages ?? 0;
}

/** True while something older than two seconds keeps the server from pruning: stripes then only cost. */
export async function horizonIsPinned(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<Row & { pinned: boolean }>(
    `select exists (select from pg_catalog.pg_stat_activity a
                    where a.backend_xmin is not null and a.pid <> pg_catalog.pg_backend_pid()
                      and a.xact_start < clock_timestamp() - interval '2 seconds' and a.backend_type = 'client backend')
         or exists (select from pg_catalog.pg_prepared_xacts p where p.prepared < clock_timestamp() - interval '2 seconds')
         or exists (select from pg_catalog.pg_replication_slots s where s.xmin is not null and pg_catalog.age(s.xmin) > 100000) as pinned`,
  );
  return rows[0]?.pinned === true;
}
