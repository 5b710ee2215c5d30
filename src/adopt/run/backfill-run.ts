import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../../database/database-error.ts';
import { withLockRetry } from '../../database/locks.ts';
import { type Queryable, renderSchema, type Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { BackfillStep } from '../plan-types.ts';
import { assertGoing, lockOptions, mark, type RunContext } from './steps-run.ts';
import type { BackfillCursor } from './state.ts';

export interface BackfillOptions {
  /** Most rows per second; unlimited by default. */
  readonly maxRate?: number;
  /** Asked before each window: milliseconds to wait (replication lag, load), or 0. */
  readonly throttle?: (progress: { table: string; rows: number; rowsPerSecond: number }) => Promise<number> | number;
  /** Longest time that one transaction of the backfill should take, in milliseconds. Default 120. */
  readonly batchMilliseconds?: number;
}

/** Stripes of a window: each commits, so that the server prunes a page before the next one comes to it. */
const stripes = 8;
const mostPages = 4096;
/**
 * Hard limit of one batch. Below deadlock_timeout (1 s): a batch always gives way before the server would choose a victim, so that
 * the victim is never the application.
 */
const statementTimeout = 600;
const lockTimeout = 150;

/** Fills the column of one relation from page 0 to the last page it had, resuming at the cursor. */
export async function runBackfill(
  context: RunContext,
  step: BackfillStep,
  cursor: BackfillCursor | null,
  options: BackfillOptions,
): Promise<void> {
  await mark(context, context.pool, step.id, 'running');
  const pages = cursor?.pages ?? (await selectPages(context.pool, step.relation));
  const text = renderSchema(step.up[0]?.text ?? '', context.schema);
  const goal = options.batchMilliseconds ?? 120;
  const started = performance.now();
  const first = cursor?.page ?? 0;
  let window = 32;
  let rows = 0;
  let pinned = await horizonIsPinned(context.pool);
  let lastLook = performance.now();
  for (let page = first; page < pages; ) {
    assertGoing(context);
    await throttle(options, step.relation, rows, started);
    if (performance.now() - lastLook > 2000) {
      pinned = await horizonIsPinned(context.pool);
      lastLook = performance.now();
    }
    const end = Math.min(page + window, pages);
    const parts = pinned ? 1 : stripes;
    let slowest = 0;
    try {
      for (let stripe = 0; stripe < parts; stripe += 1) {
        assertGoing(context);
        const before = performance.now();
        const done = stripe === parts - 1 ? { page: end, pages } : { page, pages };
        rows += await runStripe(context, step, text, [page, end, parts, stripe], done);
        slowest = Math.max(slowest, performance.now() - before);
      }
    } catch (error) {
      // 57014: the batch was too large for its time; nothing of it was committed
      if (sqlStateOf(error) !== '57014' || window === 1) throw error;
      window = Math.max(1, Math.floor(window / 4));
      continue;
    }
    page = end;
    if (slowest < goal / 2) window = Math.min(mostPages, window * 2);
    else if (slowest > goal * 1.5) window = Math.max(1, Math.floor(window / 2));
    const seconds = (performance.now() - started) / 1000;
    await context.onEvent({
      type: 'progress',
      phase: step.phase,
      table: step.relation,
      rows,
      fraction: page / pages,
      rowsPerSecond: Math.round(rows / Math.max(seconds, 0.001)),
      secondsLeft: Math.round((seconds / Math.max(page - first, 1)) * (pages - page)),
      striped: parts > 1,
    });
  }
  await mark(context, context.pool, step.id, 'done');
}

async function runStripe(
  context: RunContext,
  step: BackfillStep,
  text: string,
  values: readonly number[],
  cursor: BackfillCursor,
): Promise<number> {
  return withLockRetry(
    context.pool,
    async (tx) => {
      await tx.query(
        `select set_config('search_path', 'pg_catalog, pg_temp', true), set_config('app.adopt_backfill', 'on', true),
                set_config('jit', 'off', true), set_config('statement_timeout', $1::text, true)`,
        [String(statementTimeout)],
      );
      const { rowCount } = await tx.query(text, values);
      if (!(await context.state.setCursor(tx, context.lease.fence, step.id, cursor, rowCount ?? 0))) {
        throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process has taken over this adoption.');
      }
      return rowCount ?? 0;
    },
    { ...lockOptions(context, step.id), lockTimeout, attempts: 200, maxPause: 500 },
  );
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
