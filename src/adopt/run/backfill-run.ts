import { setTimeout as sleep } from 'node:timers/promises';
import { type Blocker, findBlockers } from '../../database/blockers.ts';
import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike, PoolLike } from '../../database/kernel.ts';
import { literal, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { BackfillStep } from '../plan-types.ts';
import { hasMask, restOf } from '../steps/backfill.ts';
import { backendPid, lookAtServer, selectSize } from './backfill-queries.ts';
import type { PaceOptions } from './pace.ts';
import type { BackfillCursor } from './state.ts';
import { assertGoing, mark, type RunContext, tellLock } from './steps-run.ts';
import { equal, equalStripes, type Stripe, stripesFor, wholePages } from './stripes.ts';
import { tidy } from './tidy.ts';

export interface BackfillOptions extends PaceOptions {
  /**
   * Longest time that one transaction of the backfill should take, in milliseconds: a row that the application wants waits so long.
   * Default 40, and 20 while others are at work.
   */
  readonly batchMilliseconds?: number;
  /** Tables that are filled at once, parents always before their children. Default 2. */
  readonly parallel?: number;
}

/** Transactions of one stripe: between two visits of a page others come and go, whose snapshots would keep it from being pruned. */
const chunks = 4;
/** A table of fewer pages is not worth stripes: all of it is a handful of short transactions. */
const fewPages = 64;
const mostPages = 1024;
/** What a batch costs beside its rows is worth so many pages, whatever their time. */
const fewestPages = 4;
/**
 * Limits of one batch. Together they stay below deadlock_timeout (1 s): a batch gives way before the server would choose a victim,
 * so that the victim is never the application. While a batch waits for a row that the application holds, others wait for the rows
 * that it has: that and its own time stay below 100 ms.
 */
const statementTimeout = 600;
const lockTimeout = 60;
const lockAttempts = 400;

/** Fills the column of one relation from page 0 to the last page it had when it began, resuming at the cursor. */
export async function runBackfill(
  context: RunContext,
  step: BackfillStep,
  cursor: BackfillCursor | null,
  options: BackfillOptions,
): Promise<void> {
  await mark(context, context.pool, step.id, 'running');
  const client = await takeSession(context);
  let reusable = false;
  try {
    await client.query(prepareWindow(context, step));
    const size = await selectSize(client, step.relation);
    if (!isRest(step)) await context.state.setTotal(client, context.lease.fence, step.id, size.rows);
    const pages = cursor?.pages ?? size.pages;
    const fill: Fill = { client, pid: await backendPid(client), step, bytes: size.bytes };
    await passOver(context, fill, { page: cursor?.page ?? 0, pages }, options);
    await context.hold.drop(step.relation);
    reusable = isRest(step) || pages <= fewPages || !(await tidy(context, client, fill.pid, step.relation));
  } finally {
    // whatever comes next may want a lock of its own on the table
    await context.hold.drop(step.relation);
    if (reusable) context.sessions.push(client);
    else client.release(true);
  }
  await mark(context, context.pool, step.id, 'done');
}

/**
 * Images of whole pages are a third of what a backfill writes to the log. A server built with zstd or lz4 compresses them at a price
 * nobody notices, if the login may ask for it (PostgreSQL 15: `grant set on parameter wal_compression`); pglz costs a fifth of the speed.
 */
export const compressPageImages = `select set_config('wal_compression', case when 'zstd' = any(enumvals) then 'zstd' else 'lz4' end, false)
  from pg_settings where name = 'wal_compression' and setting = 'off' and enumvals && '{zstd,lz4}' and has_parameter_privilege(name, 'set')`;

/** A connection with the settings of a backfill, which the next step takes over: it goes to nobody else, and is closed with the phase. */
async function takeSession({ pool, sessions }: RunContext): Promise<ClientLike> {
  for (let kept = sessions.pop(); kept !== undefined; kept = sessions.pop()) {
    try {
      await kept.query('deallocate tenantry_window; reset enable_hashjoin; reset enable_mergejoin');
      return kept;
    } catch {
      // the server has ended it meanwhile
      kept.release(true);
    }
  }
  const client = await pool.connect();
  try {
    // Rows and cursor are one transaction, so one that a crash of the server takes is done again: no batch waits for the disk.
    await client.query(
      `set search_path = pg_catalog, pg_temp; set app.adopt_backfill = 'on'; set jit = off; set synchronous_commit = off;
       set lock_timeout = ${lockTimeout}; set statement_timeout = ${statementTimeout};
       ${compressPageImages}`,
    );
    return client;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** Closes what steps of a backfill have left to each other. */
export function closeSessions({ sessions }: Pick<RunContext, 'sessions'>): void {
  for (const session of sessions.splice(0)) session.release(true);
}

interface Fill {
  readonly client: ClientLike;
  readonly pid: number;
  readonly step: BackfillStep;
  /** What a row takes, on an average. */
  readonly bytes: number;
}

const isRest = (step: BackfillStep): boolean => step.id.endsWith(restOf);

async function passOver(
  context: RunContext,
  fill: Fill,
  from: BackfillCursor,
  options: BackfillOptions,
): Promise<void> {
  const { step } = fill;
  const { pages } = from;
  const goal = (): number => options.batchMilliseconds ?? (context.pace.busy() ? 20 : 40);
  const striped = hasMask(step.up[0]?.text ?? '') ? stripesFor(fill.bytes) : equalStripes;
  const started = performance.now();
  const whole = pages <= fewPages || isRest(step);
  let chunk = 16;
  let rows = 0;
  let server = await lookAtServer(context.pool, step.relation);
  let lastLook = performance.now();
  let lastBatch = 0;
  let wasStriped = !whole;
  for (let { page } = from; page < pages; ) {
    if (performance.now() - lastLook > 2000) {
      server = await lookAtServer(context.pool, step.relation);
      lastLook = performance.now();
    }
    const stripes = server.pinned || whole ? wholePages : striped;
    if (stripes.length > 1 !== wasStriped) chunk = Math.max(1, wasStriped ? chunk / 8 : chunk * 4);
    wasStriped = stripes.length > 1;
    chunk = Math.max(1, Math.floor(chunk));
    const end = Math.min(page + chunk * chunks, pages);
    // the last window is a smaller one, and has as many transactions
    const size = Math.min(chunk, Math.ceil((end - page) / chunks));
    const rowsBefore = rows;
    const times: number[] = [];
    try {
      for (const stripe of stripes) {
        let quickest = Infinity;
        for (let first = page; first < end; first += size) {
          const last = Math.min(first + size, end);
          const rate = Math.round(rows / Math.max((performance.now() - started) / 1000, 0.001));
          // what the last stripe has left behind is done
          const reached = { page: stripe === stripes.at(-1) ? last : page, pages, rate };
          // half the speed while the server tidies up the table itself
          rows += await context.pace.batch(step.relation, server.vacuumed ? lastBatch : 0, async () => {
            assertGoing(context);
            context.hold.keep(step.relation);
            const before = performance.now();
            const filled = await runStripe(context, fill, [first, last], stripe, reached);
            lastBatch = performance.now() - before;
            return filled;
          });
          // what else the machine did is not the batch's
          quickest = Math.min(quickest, lastBatch * (chunk / (last - first)));
        }
        times.push(quickest);
      }
    } catch (error) {
      // 57014: the batch was too large for its time; nothing of it was committed
      if (sqlStateOf(error) !== '57014' || chunk === 1) throw error;
      chunk = Math.max(1, Math.floor(chunk / 4));
      continue;
    }
    const perPage = (rows - rowsBefore) / Math.max(1, end - page);
    page = end;
    chunk = Math.min(
      mostPages,
      Math.max(fewestPages, chunk * Math.min(4, Math.max(0.25, goal() / Math.max(usual(times), 0.1)))),
    );
    chunk = Math.max(1, Math.min(chunk, Math.floor((context.pace.mostRows * stripes.length) / Math.max(perPage, 1))));
    if (isRest(step)) continue;
    const seconds = (performance.now() - started) / 1000;
    await context.onEvent({
      type: 'progress',
      phase: step.phase,
      table: step.relation,
      rows,
      fraction: page / pages,
      rowsPerSecond: Math.round(rows / Math.max(seconds, 0.001)),
      secondsLeft: Math.round((seconds / Math.max(page - from.page, 1)) * (pages - page)),
      striped: wasStriped,
    });
  }
}

/** The least of the largest stripes: beside an application two of ten may well have had to wait for a processor. */
function usual(times: readonly number[]): number {
  return [...times].sort((a, b) => b - a)[Math.min(equal, times.length) - 1] ?? 0;
}

/**
 * Rows and cursor in one statement: one round trip, and one transaction. Whoever has lost the lease fills nothing. Planned once: a
 * batch is too short to be planned each time. Rows come with their parents one by one, whatever the server takes for their number.
 */
function prepareWindow(context: RunContext, step: BackfillStep): string {
  const { runId, runner } = context.lease.fence;
  const text = step.up[0]?.text ?? '';
  const [run, id] = [`${literal(runId)}::uuid`, `${literal(step.id)}::text`];
  const held = `exists (select from tenantry.adoption_runs r where r.id = ${run} and r.runner = ${literal(runner)}::uuid)`;
  const statement = renderSchema(
    `with filled as (${text} and ${held} returning 1)
     update tenantry.adoption_steps s set cursor = $5::jsonb, rows_done = s.rows_done + (select count(*) from filled), waiting_for = null
     where s.run_id = ${run} and s.id = ${id} and ${held}
     returning (select count(*) from filled)::int as rows`,
    context.schema,
  );
  const oneByOne = hasMask(text) ? 'set enable_hashjoin = off; set enable_mergejoin = off;' : '';
  return `${oneByOne} set plan_cache_mode = force_generic_plan;
    prepare tenantry_window (bigint, bigint, int, bigint, jsonb) as ${statement}`;
}

async function runStripe(
  context: RunContext,
  { client, pid, step }: Fill,
  [first, last]: readonly [number, number],
  { modulus, mask }: Stripe,
  reached: BackfillCursor,
): Promise<number> {
  const values = [first, last, modulus, mask, literal(JSON.stringify(reached))].join(', ');
  for (let attempt = 1; ; attempt += 1) {
    const started = performance.now();
    // the first time-out is no news; from then on whoever is in the way is looked up while it is
    const watch = attempt === 1 ? undefined : blockersOf(context.pool, pid, lockTimeout * 0.6);
    try {
      const { rows } = await client.query<Row & { rows: number }>(`execute tenantry_window (${values})`);
      if (rows[0] === undefined) {
        throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process has taken over this adoption.');
      }
      return rows[0].rows;
    } catch (error) {
      const state = sqlStateOf(error);
      if ((state !== '55P03' && state !== '40P01') || attempt >= lockAttempts) throw error;
      await tellLock(context, step.id, {
        attempt,
        outcome: state === '40P01' ? 'deadlock' : 'lock timeout',
        milliseconds: performance.now() - started,
        blockers: (await watch) ?? [],
      });
      assertGoing(context);
      await sleep(Math.min(500, 10 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2));
    }
  }
}

async function blockersOf(pool: PoolLike, pid: number, after: number): Promise<readonly Blocker[]> {
  await sleep(after, undefined, { ref: false });
  return findBlockers(pool, pid).catch(() => []);
}
