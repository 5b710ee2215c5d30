import { findBlockers, describeBlocker, firstWords } from '../database/blockers.ts';
import { type Drift, readDrift } from '../database/drift.ts';
import type { PoolLike } from '../database/kernel.ts';
import type { Queryable, Row } from '../database/sql.ts';
import { createLegacyLogins, type LegacyLogin } from './compat/legacy-login.ts';
import { countQuarantine, type QuarantineCount } from './decisions/quarantine.ts';
import { createHookState, type HookSummary } from './hooks/queries.ts';
import type { TableName } from './inspection.ts';
import { type MissedChange, readMissed } from './memberships/missed.ts';
import { type Phase, type Plan, phases } from './plan-types.ts';
import type { RunRow, State, StepRow } from './run/state.ts';
import { restOf } from './steps/backfill.ts';

export interface AdoptStatus {
  readonly runId: string;
  readonly status: 'open' | 'undone';
  readonly phase: Phase;
  readonly direction: 'forward' | 'undo';
  /** A process holds it now. */
  readonly running: boolean;
  /** Since when it is to stand still. */
  readonly pausedAt: Date | null;
  /** Steps that cannot get their lock now, each with who is in the way, as in the event `lock`. */
  readonly waiting: readonly { readonly step: string; readonly blockers: readonly string[] }[];
  /** Sessions of anybody that wait for a lock on a table of the plan now. */
  readonly waits: readonly Wait[];
  /** Steps that have begun and are not done. */
  readonly current: readonly CurrentStep[];
  /** What came since and nobody classified, what went, what was switched off. */
  readonly drift: readonly Drift[];
  readonly lastError: string | null;
  /** Rows that wait without a tenant by a decision; empty before the columns are filled. */
  readonly quarantine: readonly QuarantineCount[];
  /** Changes of old user and membership tables that wait to be followed: by the next run. */
  readonly missed: readonly MissedChange[];
  /** Hooks that ran, in their order. */
  readonly hooks: readonly HookSummary[];
  /** Logins of old applications that are one tenant without a context. */
  readonly legacyLogins: readonly LegacyLogin[];
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  readonly phases: readonly PhaseStatus[];
}

export interface PhaseStatus {
  readonly phase: Phase;
  readonly done: number;
  readonly steps: number;
  /** Rows that were filled. */
  readonly rows: number;
  /** About how many there are to fill in all; 0 where a phase fills none. */
  readonly rowsTotal: number;
  /** 0 to 1: by rows where a phase fills some, else by steps. */
  readonly fraction: number;
  /** Of the steps that run now, together; null where none is known. */
  readonly rowsPerSecond: number | null;
  readonly secondsLeft: number | null;
}

export interface CurrentStep {
  readonly step: string;
  readonly phase: Phase;
  readonly table: TableName | null;
  readonly since: Date | null;
  readonly attempts: number;
  readonly rows: number;
  readonly rowsTotal: number | null;
  /** 0 to 1, by pages passed; null for a step without rows. */
  readonly fraction: number | null;
  readonly rowsPerSecond: number | null;
}

export interface Wait {
  readonly table: TableName;
  /** `process 4711 (shop, active for 2 s): update orders …`. */
  readonly who: string;
  readonly blockers: readonly string[];
}

/** How far the last adoption is; null where there was none. */
export async function readStatus(pool: PoolLike, schema: string, state: State): Promise<AdoptStatus | null> {
  const run = await state.selectLastRun(pool);
  if (run === undefined) return null;
  const steps = await state.selectSteps(pool, run.id);
  const open = run.status === 'open';
  return {
    runId: run.id,
    status: run.status,
    phase: run.phase,
    direction: run.direction,
    running: run.held,
    pausedAt: run.paused_at,
    waiting: run.held
      ? steps.flatMap(({ id, waiting_for: blockers }) => (blockers === null ? [] : [{ step: id, blockers }]))
      : [],
    waits: open ? await readWaits(pool, run.plan) : [],
    current: steps.filter((step) => step.status === 'running').map((step) => currentStep(step, run)),
    drift: open ? await readDrift(pool, schema) : [],
    lastError: run.last_error,
    quarantine: open ? await countQuarantine(pool, run.plan, run.phase) : [],
    missed: open ? await readMissed(pool, schema) : [],
    hooks: await createHookState(schema).selectSummary(pool, run.id),
    legacyLogins: await createLegacyLogins(pool, schema).list(),
    startedAt: run.started_at,
    finishedAt: run.finished_at,
    phases: phases.slice(1).map((phase) => phaseStatus(phase, steps, run)),
  };
}

function phaseStatus(phase: Phase, all: readonly StepRow[], run: RunRow): PhaseStatus {
  const steps = all.filter((step) => step.phase === phase);
  const done = steps.filter((step) => step.status === 'done').length;
  const rows = steps.reduce((sum, step) => sum + step.rows_done, 0);
  const kinds = new Map(run.plan.steps.map((step) => [step.id, step.kind]));
  // a second pass fills next to nothing
  const filling = steps.filter(({ id }) => kinds.get(id) === 'backfill' && !id.endsWith(restOf));
  const totals = filling.map((step) => totalOf(step, run.plan));
  const rowsTotal = totals.reduce((sum, total) => sum + total, 0);
  const left = filling.reduce((sum, step, i) => sum + (1 - (fractionOf(step) ?? 0)) * (totals[i] ?? 0), 0);
  const rates = run.held ? filling.flatMap((step) => (step.status === 'running' ? (rateOf(step) ?? []) : [])) : [];
  const rowsPerSecond = rates.length === 0 ? null : rates.reduce((sum, rate) => sum + rate, 0);
  return {
    phase,
    done,
    steps: steps.length,
    rows,
    rowsTotal: Math.max(rowsTotal, rows),
    fraction:
      steps.length === 0 || done === steps.length
        ? 1
        : rowsTotal > 0
          ? Math.min(0.999, 1 - left / rowsTotal)
          : done / steps.length,
    rowsPerSecond,
    secondsLeft: rowsPerSecond === null || rowsPerSecond <= 0 ? null : Math.ceil(left / rowsPerSecond),
  };
}

/** What the step itself took down when it began; before that the plan's estimate, shared among partitions. */
function totalOf(step: StepRow, plan: Plan): number {
  if (step.rows_total !== null) return Math.max(step.rows_total, step.rows_done, 1);
  const table = plan.tables.find(({ table: name }) => name === step.table_name);
  return Math.max(1, step.rows_done, (table?.rows ?? 0) / Math.max(1, table?.leaves.length ?? 1));
}

function fractionOf({ status, cursor }: StepRow): number | null {
  if (status === 'done') return 1;
  if (cursor === null || !(cursor.pages > 0)) return null;
  return Math.min(1, cursor.page / cursor.pages);
}

/** As the step says it, else since it began. */
function rateOf({ cursor, rows_done: rows, started_at: began }: StepRow): number | null {
  if (cursor?.rate !== undefined) return cursor.rate;
  const seconds = began === null ? 0 : (Date.now() - began.getTime()) / 1000;
  return seconds > 1 && rows > 0 ? Math.round(rows / seconds) : null;
}

function currentStep(step: StepRow, run: RunRow): CurrentStep {
  const backfill = run.plan.steps.find(({ id }) => id === step.id)?.kind === 'backfill';
  return {
    step: step.id,
    phase: step.phase,
    table: step.table_name,
    since: step.started_at,
    attempts: step.attempts,
    rows: step.rows_done,
    rowsTotal: backfill ? Math.round(totalOf(step, run.plan)) : null,
    fraction: backfill ? (fractionOf(step) ?? 0) : null,
    rowsPerSecond: backfill && run.held ? rateOf(step) : null,
  };
}

interface WaitRow extends Row {
  pid: number;
  login: string | null;
  seconds: number | null;
  statement: string | null;
  table: string;
}

/** Who waits for whom on tables of the plan. A wait for a row is found by the table's lock, which its session holds already. */
async function readWaits(db: Queryable, plan: Plan): Promise<Wait[]> {
  const { rows } = await db.query<WaitRow>(
    `select distinct on (a.pid) a.pid, a.usename::text as login, t.name as "table",
            extract(epoch from clock_timestamp() - coalesce(a.query_start, a.xact_start))::float8 as seconds,
            nullif(a.query, '<insufficient privilege>') as statement
     from pg_catalog.pg_stat_activity a
     join pg_catalog.pg_locks l on l.pid = a.pid and l.locktype = 'relation' and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
     join unnest($1::text[]) with ordinality t(name, place) on l.relation = pg_catalog.to_regclass(t.name)
     where a.datname = current_database() and a.wait_event_type = 'Lock' and a.pid <> pg_catalog.pg_backend_pid()
     order by a.pid, l.granted, t.place`,
    [plan.tables.flatMap((table) => [table.table, ...table.leaves.filter((leaf) => leaf !== table.table)])],
  );
  const waits: Wait[] = [];
  for (const { pid, login, seconds, statement, table } of rows) {
    const blockers = await findBlockers(db, pid);
    if (blockers.length === 0) continue; // it got its lock meanwhile
    const age = seconds === null ? '' : ` for ${Math.round(seconds)} s`;
    waits.push({
      table,
      who: `process ${pid} (${login ?? 'background'}${age})${statement === null ? '' : `: ${firstWords(statement)}`}`,
      blockers: blockers.map(describeBlocker),
    });
  }
  return waits;
}
