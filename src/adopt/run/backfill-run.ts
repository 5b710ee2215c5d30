import { setTimeout as sleep } from 'node:timers/promises';
import { type Blocker, findBlockers } from '../../database/blockers.ts';
import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike, PoolLike } from '../../database/kernel.ts';
import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { BackfillStep } from '../plan-types.ts';
import type { PaceOptions } from './pace.ts';
import type { BackfillCursor } from './state.ts';
import { assertGoing, mark, type RunContext, tellLock } from './steps-run.ts';

export interface BackfillOptions extends PaceOptions {
  /** Longest time that one transaction of the backfill should take, in milliseconds: a row that the application wants waits so long. Default 40. */
  readonly batchMilliseconds?: number;
  /** Tables that are filled at once, parents always before their children. Default 2. */
  readonly parallel?: number;
}

/** Stripes of a window: each commits, so that the server prunes a page before the next one comes to it. */
const stripes = 8;
/** Transactions of one stripe: between two visits of a page others come and go, whose snapshots would keep it from being pruned. */
const chunks = 4;
/** A table of fewer pages is not worth stripes: all of it is a handful of short transactions. */
const fewPages = 64;
const mostPages = 1024;
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
    const size = await selectSize(client, step.relation);
    await context.state.setTotal(client, context.lease.fence, step.id, size.rows);
    const pages = cursor?.pages ?? size.pages;
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
  const goal = options.batchMilliseconds ?? 40;
  const text = stripeStatement(step, context.schema);
  const pid = await backendPid(client);
  const started = performance.now();
  let chunk = 16;
  let rows = 0;
  let server = await lookAtServer(context.pool, step.relation);
  let lastLook = performance.now();
  let lastBatch = 0;
  for (let { page } = from; page < pages; ) {
    if (performance.now() - lastLook > 2000) {
      server = await lookAtServer(context.pool, step.relation);
      lastLook = performance.now();
    }
    const end = Math.min(page + chunk * chunks, pages);
    const parts = server.pinned || pages <= fewPages ? 1 : stripes;
    const rowsBefore = rows;
    let slowest = 0;
    try {
      for (let stripe = 0; stripe < parts; stripe += 1) {
        for (let first = page; first < end; first += chunk) {
          const last = Math.min(first + chunk, end);
          const rate = Math.round(rows / Math.max((performance.now() - started) / 1000, 0.001));
          // what the last stripe has left behind is done
          const reached = { page: stripe === parts - 1 ? last : page, pages, rate };
          // half the speed while the server tidies up the table itself
          rows += await context.pace.batch(step.relation, server.vacuumed ? lastBatch : 0, async () => {
            assertGoing(context);
            const before = performance.now();
            const filled = await runStripe(context, { client, pid }, step, text, [first, last, parts, stripe], reached);
            lastBatch = performance.now() - before;
            return filled;
          });
          slowest = Math.max(slowest, lastBatch);
        }
      }
    } catch (error) {
      // 57014: the batch was too large for its time; nothing of it was committed
      if (sqlStateOf(error) !== '57014' || chunk === 1) throw error;
      chunk = Math.max(1, Math.floor(chunk / 4));
      continue;
    }
    const perPage = (rows - rowsBefore) / Math.max(1, end - page);
    page = end;
    if (slowest < goal / 3) chunk = Math.min(mostPages, chunk * 2);
    else if (slowest > goal) chunk = Math.max(1, Math.floor(chunk / 2));
    chunk = Math.max(1, Math.min(chunk, Math.floor((context.pace.mostRows * parts) / Math.max(perPage, 1))));
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
     update tenantry.adoption_steps s set cursor = $8::jsonb, rows_done = s.rows_done + (select count(*) from filled), waiting_for = null
     where s.run_id = $5::uuid and s.id = $7::text and ${held}
     returning (select count(*) from filled)::int as rows`,
    schema,
  );
}

async function runStripe(
  context: RunContext,
  { client, pid }: { readonly client: ClientLike; readonly pid: number },
  step: BackfillStep,
  text: string,
  window: readonly number[],
  reached: BackfillCursor,
): Promise<number> {
  const { runId, runner } = context.lease.fence;
  for (let attempt = 1; ; attempt += 1) {
    const started = performance.now();
    // the first time-out is no news; from then on whoever is in the way is looked up while it is
    const watch = attempt === 1 ? undefined : blockersOf(context.pool, pid, lockTimeout * 0.6);
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

async function backendPid(db: Queryable): Promise<number> {
  const { rows } = await db.query<Row & { pid: number }>('select pg_catalog.pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

async function selectSize(db: Queryable, relation: string): Promise<{ pages: number; rows: number }> {
  const { rows } = await db.query<Row & { pages: number; rows: number }>(
    `select (pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint)::float8 as pages, greatest(c.reltuples, 0)::float8 as rows
     from pg_catalog.pg_class c where c.oid = $1::regclass`,
    [relation],
  );
  return rows[0] ?? { pages: 0, rows: 0 };
}

/**
 * `pinned`: something older than two seconds keeps the server from pruning, and stripes then only cost.
 * `vacuumed`: autovacuum works on this table now, as far as this login may see.
 */
async function lookAtServer(db: Queryable, relation: string): Promise<{ pinned: boolean; vacuumed: boolean }> {
  const { rows } = await db.query<Row & { pinned: boolean; vacuumed: boolean }>(
    `select exists (select from pg_catalog.pg_stat_activity a
                    where a.backend_xmin is not null and a.pid <> pg_catalog.pg_backend_pid()
                      and a.xact_start < clock_timestamp() - interval '2 seconds' and a.backend_type = 'client backend')
         or exists (select from pg_catalog.pg_prepared_xacts p where p.prepared < clock_timestamp() - interval '2 seconds')
         or exists (select from pg_catalog.pg_replication_slots s where s.xmin is not null and pg_catalog.age(s.xmin) > 100000) as pinned,
            exists (select from pg_catalog.pg_stat_progress_vacuum v join pg_catalog.pg_stat_activity a on a.pid = v.pid
                    where v.relid = $1::regclass and a.backend_type = 'autovacuum worker') as vacuumed`,
    [relation],
  );
  return { pinned: rows[0]?.pinned === true, vacuumed: rows[0]?.vacuumed === true };
}
