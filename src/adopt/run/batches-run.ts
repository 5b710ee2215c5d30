import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike } from '../../database/kernel.ts';
import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { BatchStep } from '../plan-types.ts';
import { assertGoing, mark, type RunContext } from './steps-run.ts';

/** A batch gives way before deadlock_timeout (1 s) would choose a victim, so that the victim is never the application. */
const lockTimeout = 60;
const statementTimeout = 800;
const lockAttempts = 400;
/** More are no faster: the statements of a batch are planned for few rows, as those of a trigger are. */
const mostKeys = 200;

/** Runs a statement batch by batch, each with its cursor in one transaction, from the key that the last one reached. */
export async function runBatches(context: RunContext, step: BatchStep, last: string | null): Promise<void> {
  await mark(context, context.pool, step.id, 'running');
  const client = await context.pool.connect();
  try {
    // for this session alone: the connection is closed afterwards
    await client.query(
      `set search_path = pg_catalog, pg_temp; set jit = off; set lock_timeout = ${lockTimeout}; set statement_timeout = ${statementTimeout}`,
    );
    const total = Math.max(1, await selectRows(client, step.table));
    const begun = performance.now();
    let size = 50;
    let rows = 0;
    for (let after = last, attempt = 0; ; ) {
      assertGoing(context);
      const started = performance.now();
      try {
        const batch = await runBatch(context, client, step, after, size);
        rows += batch.rows;
        if (batch.rows < size) break;
        after = batch.last;
        const seconds = Math.max((performance.now() - begun) / 1000, 0.001);
        const fraction = Math.min(1, rows / total);
        await context.onEvent({
          type: 'progress',
          phase: step.phase,
          table: step.table ?? '',
          rows,
          fraction,
          rowsPerSecond: Math.round(rows / seconds),
          secondsLeft: Math.round(seconds / fraction - seconds),
          striped: false,
        });
        attempt = 0;
        if (performance.now() - started < 50) size = Math.min(mostKeys, size * 2);
      } catch (error) {
        await client.query('rollback');
        const state = sqlStateOf(error);
        if ((state !== '55P03' && state !== '40P01' && state !== '57014') || attempt >= lockAttempts) throw error;
        attempt += 1;
        if (state === '57014' && size === 1) throw error;
        if (state === '57014') size = Math.max(1, Math.floor(size / 4));
        else await sleep(Math.min(500, 10 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2));
      }
    }
  } finally {
    client.release(true);
  }
  await mark(context, context.pool, step.id, 'done');
}

async function runBatch(
  context: RunContext,
  client: ClientLike,
  step: BatchStep,
  after: string | null,
  size: number,
): Promise<{ last: string | null; rows: number }> {
  const { runId, runner } = context.lease.fence;
  await client.query('begin');
  const { rows } = await client.query<Row & { last: string | null; rows: number; changed: number }>(
    renderSchema(step.up[0]?.text ?? '', context.schema),
    [after, size],
  );
  const batch = rows[0] ?? { last: null, rows: 0, changed: 0 };
  const { rowCount } = await client.query(
    renderSchema(
      `update tenantry.adoption_steps s set cursor = $4::jsonb, rows_done = s.rows_done + $5::bigint
       where s.run_id = $1::uuid and s.id = $3::text
         and exists (select from tenantry.adoption_runs r where r.id = s.run_id and r.runner = $2::uuid)`,
      context.schema,
    ),
    [runId, runner, step.id, JSON.stringify({ key: batch.last ?? after }), batch.rows],
  );
  if (rowCount !== 1) throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process has taken over this adoption.');
  await client.query('commit');
  return batch;
}

/** The server's estimate: for the progress alone. */
async function selectRows(db: Queryable, table: string | null): Promise<number> {
  const { rows } = await db.query<Row & { rows: number }>(
    'select c.reltuples::float8 as rows from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1::text)',
    [table],
  );
  return rows[0]?.rows ?? 0;
}
