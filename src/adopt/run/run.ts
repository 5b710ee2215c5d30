import { sqlStateOf, translateDatabaseError } from '../../database/database-error.ts';
import type { PoolLike } from '../../database/kernel.ts';
import type { LockOptions } from '../../database/locks.ts';
import type { Queryable, Statement } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Isolation } from '../../isolation/index.ts';
import type { PhaseHooks } from '../hooks/phase-hooks.ts';
import { type ModeStep, type Phase, type Plan, phases, type Step, type TablePlan } from '../plan-types.ts';
import { type BackfillOptions, closeSessions, runBackfill } from './backfill-run.ts';
import { runBatches } from './batches-run.ts';
import type { OnEvent } from './events.ts';
import { followUp } from './follow-up.ts';
import { takeLease } from './lease.ts';
import { createPace } from './pace.ts';
import { groupByTable, runGroups } from './parallel.ts';
import { runRetireStep, undoRetireStep } from './retire-run.ts';
import type { RunRow, State, StepRow } from './state.ts';
import {
  assertGoing,
  type Finding,
  lockOptions,
  mark,
  type RunContext,
  readFindings,
  runIndexStep,
  undoIndexStep,
  runTransaction,
  runTransactionStep,
} from './steps-run.ts';
import { createVacuumHold } from './vacuum-hold.ts';

export interface EngineOptions {
  readonly pool: PoolLike;
  readonly schema: string;
  readonly state: State;
  readonly isolation: Isolation;
  readonly locks: LockOptions;
  readonly backfill: BackfillOptions;
  /** Enforce although shadow has counted statements that will change. */
  readonly force: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: OnEvent;
  readonly hooks: PhaseHooks;
}

/** Runs every step that is not done, phase by phase, up to and with `to`. The run must be open. */
export async function runForward(options: EngineOptions, run: RunRow, to: Phase): Promise<void> {
  await withLease(options, run, async (context) => {
    await options.hooks.prepare(context, run, to);
    const steps = new Map((await options.state.selectSteps(options.pool, run.id)).map((row) => [row.id, row]));
    await followUp(context, run, steps);
    for (const phase of phases.slice(0, phases.indexOf(to) + 1)) {
      const open = run.plan.steps.filter((step) => step.phase === phase && steps.get(step.id)?.status !== 'done');
      if (open.length > 0) await options.onEvent({ type: 'phase', phase, steps: open.length });
      await options.hooks.before(context, run, phase, steps);
      await runPhase(options, context, run.plan, open, steps);
      await options.hooks.after(context, phase);
      if (phases.indexOf(phase) > phases.indexOf(run.phase) || run.direction === 'undo') {
        await options.state.setPhase(options.pool, context.lease.fence, phase, 'forward');
      }
    }
  });
}

/** Takes the done steps back in reverse order, down to and without `to`. */
export async function runUndo(options: EngineOptions, run: RunRow, to: Phase): Promise<void> {
  await withLease(options, run, async (context) => {
    const rows = new Map((await options.state.selectSteps(options.pool, run.id)).map((row) => [row.id, row]));
    const first = phases.indexOf(to);
    await options.hooks.prepareUndo(context, to);
    // what is recorded is how far it may have come: a kill in the middle of an undo leaves no claim that is too high
    const lowest = phases[Math.min(first, phases.indexOf(run.phase))] ?? 'preflight';
    await options.state.setPhase(options.pool, context.lease.fence, lowest, 'undo');
    for (const phase of [...phases].reverse()) {
      const whole = to === 'preflight' && phase === 'preflight';
      if (phases.indexOf(phase) <= first && !whole) continue;
      await options.hooks.undoAfter(context, phase);
      const steps = run.plan.steps.filter((step) => step.phase === phase);
      for (const step of steps.reverse()) await undoOne(options, context, run.plan, step, rows.get(step.id));
      await options.hooks.undoBefore(context, phase);
    }
    if (to === 'preflight') {
      await options.state.forgetTables(options.pool, run.plan);
      await options.state.closeUndone(options.pool, context.lease.fence);
    } else await options.state.setPhase(options.pool, context.lease.fence, to, 'forward');
  });
}

async function undoOne(
  options: EngineOptions,
  context: RunContext,
  plan: Plan,
  step: Step,
  row: StepRow | undefined,
): Promise<void> {
  const status = row?.status ?? 'pending';
  if (status === 'pending' || status === 'undone') return;
  assertGoing(context);
  try {
    if (await isGone(options.pool, step)) await runTransaction(context, step, withoutTable(step), 'undone');
    else await undoStep(options, context, plan, step);
  } catch (error) {
    throw asDrift(error, step);
  }
  await options.onEvent({ type: 'step', phase: step.phase, id: step.id, table: step.table, undone: true });
}

/** The hooks of organizations that came since the last run. */
export async function runHooks(options: EngineOptions, run: RunRow): Promise<number> {
  let count = 0;
  await withLease(options, run, async (context) => {
    await options.hooks.prepare(context, run, run.phase, 'organization');
    count = await options.hooks.organizations(context, run.phase);
  });
  return count;
}

async function withLease(
  options: EngineOptions,
  run: RunRow,
  work: (context: RunContext) => Promise<void>,
): Promise<void> {
  const lease = await takeLease(options.pool, options.state, run.id);
  let failure: string | null = null;
  try {
    const { pool, schema, state, locks, signal, onEvent } = options;
    const going = { lease, signal };
    const pace = createPace({ pool, options: options.backfill, onEvent, assertGoing: () => assertGoing(going) });
    const hold = createVacuumHold({ pool, spare: hasSpare(options), alone: pace.alone });
    await work({ pool, schema, state, lease, locks, signal, onEvent, pace, hold, sessions: [] });
  } catch (error) {
    const paused = error instanceof TenantryError && error.code === 'TNT_ADOPT_PAUSED';
    const told = translateDatabaseError(error);
    failure = paused ? null : told instanceof Error ? told.message : String(told);
    throw error;
  } finally {
    await lease.release(failure);
  }
}

async function runPhase(
  options: EngineOptions,
  context: RunContext,
  plan: Plan,
  steps: readonly Step[],
  rows: ReadonlyMap<string, StepRow>,
): Promise<void> {
  const findings: Finding[] = [];
  const runAll = async (own: RunContext, group: readonly Step[]): Promise<void> => {
    for (const step of group) {
      await own.pace.open();
      assertGoing(own);
      // a pool may have no connection to spare for those that wait
      if (step.kind !== 'backfill') closeSessions(own);
      try {
        findings.push(...(await runStep(options, own, plan, step, rows.get(step.id))));
      } catch (error) {
        throw asDrift(error, step);
      }
      await options.onEvent({ type: 'step', phase: step.phase, id: step.id, table: step.table });
    }
  };
  const parallel = steps[0]?.phase === 'backfill' ? parallelOf(options) : 1;
  try {
    if (parallel === 1) await runAll(context, steps);
    else {
      // a table that fails stops the others between two batches
      const stop = new AbortController();
      const signal = context.signal === undefined ? stop.signal : AbortSignal.any([context.signal, stop.signal]);
      const own = { ...context, signal };
      await runGroups(
        groupByTable(plan, steps),
        parallel,
        (group) => runAll(own, group),
        () => stop.abort(),
      );
    }
  } finally {
    closeSessions(context);
  }
  if (findings.length > 0) throw verifyFailed(findings);
}

/** Connections of the pool beside those of the lease and of the looks aside. */
function connectionsOf({ pool }: EngineOptions): number {
  return ((pool as { readonly options?: { readonly max?: number } }).options?.max ?? Infinity) - 2;
}

/** Each table takes a connection. */
function parallelOf(options: EngineOptions): number {
  return Math.max(1, Math.min(options.backfill.parallel ?? 2, connectionsOf(options)));
}

/** A connection is left that no table takes. */
function hasSpare(options: EngineOptions): boolean {
  return connectionsOf(options) > parallelOf(options);
}

async function runStep(
  options: EngineOptions,
  context: RunContext,
  plan: Plan,
  step: Step,
  row: StepRow | undefined,
): Promise<Finding[]> {
  if (step.kind === 'transaction') await runTransactionStep(context, step);
  else if (step.kind === 'index') await runIndexStep(context, step);
  else if (step.kind === 'backfill') await runBackfill(context, step, row?.cursor ?? null, options.backfill);
  else if (step.kind === 'mode') await runMode(options, context, plan, step, step.mode);
  else if (step.kind === 'batches') await runBatches(context, step, row?.cursor?.key ?? null);
  else if (step.kind === 'retire') await runRetireStep(context, step);
  else {
    const found = await readFindings(options.pool, options.schema, step);
    if (found.length === 0) await mark(context, options.pool, step.id, 'done');
    return found;
  }
  return [];
}

/** Something that the plan counts on is not there, or is there already: somebody changed the schema meanwhile. */
const driftStates = new Set(['42P01', '42703', '42701', '42704', '42883', '42710', '42P07', '3F000', '2BP01']);

function asDrift(error: unknown, step: Step): unknown {
  const cause = error instanceof TenantryError && error.cause !== undefined ? error.cause : error;
  const state = sqlStateOf(cause);
  if (state === undefined || !driftStates.has(state) || !(cause instanceof Error)) return error;
  return new TenantryError(
    'TNT_PLAN_DRIFTED',
    `The schema changed since the plan was made (step ${step.id}): ${cause.message}.`,
    {
      cause,
      hint: 'Put that right and repeat the command; a plan that no longer fits: tenantry adopt undo — and plan again.',
    },
  );
}

export function verifyFailed(findings: readonly Finding[]): TenantryError {
  const first = findings[0];
  return new TenantryError(
    'TNT_ADOPT_VERIFY_FAILED',
    `The data does not agree with the plan: ${findings.length} finding${findings.length === 1 ? '' : 's'}, first ${first?.table ?? ''}: ${first?.message ?? ''}.`,
    { details: { findings } },
  );
}

async function undoStep(options: EngineOptions, context: RunContext, plan: Plan, step: Step): Promise<void> {
  if (step.kind === 'mode') {
    await runMode(options, context, plan, step, step.mode === 'enforced' ? 'shadow' : 'off', 'undone');
  } else if (step.kind === 'index') {
    await undoIndexStep(context, step);
  } else if (step.kind === 'retire') {
    await undoRetireStep(context, step);
  } else await runTransaction(context, step, step.down, 'undone');
}

async function runMode(
  { isolation, locks, force, pool }: EngineOptions,
  context: RunContext,
  plan: Plan,
  step: ModeStep,
  mode: 'off' | 'shadow' | 'enforced',
  status: 'done' | 'undone' = 'done',
): Promise<void> {
  const table = requireTable(plan, step);
  const name = `${table.schema}.${table.name}`;
  const shared = { ...locks, ...lockOptions(context, step.id), column: plan.column };
  await mark(context, pool, step.id, 'running');
  if (mode === 'shadow') await isolation.shadow(name, shared);
  else if (mode === 'enforced') await isolation.enforce(name, { ...shared, force });
  else await isolation.off(name, { ...shared, restoreOwner: true });
  await mark(context, pool, step.id, status);
}

/** What is left to take back of a table that somebody dropped meanwhile: our functions. */
function withoutTable(step: Step): Statement[] {
  return step.down.filter(({ text }) => text.startsWith('drop function'));
}

async function isGone(db: Queryable, step: Step): Promise<boolean> {
  if (step.table === null) return false;
  const { rows } = await db.query<{ gone: boolean }>('select pg_catalog.to_regclass($1::text) is null as gone', [
    step.table,
  ]);
  return rows[0]?.gone === true;
}

function requireTable(plan: Plan, step: Step): TablePlan {
  const table = plan.tables.find((t) => t.table === step.table);
  if (table === undefined) throw new TenantryError('TNT_INTERNAL', `step ${step.id} has no table`);
  return table;
}

/** Every check of the plan, on one connection, now. */
export async function readAllFindings(
  db: Queryable,
  schema: string,
  { plan, phase }: Pick<RunRow, 'plan' | 'phase'>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const step of plan.steps) {
    // what is copied per tenant agrees when it is copied
    if (phases.indexOf(step.phase) > Math.max(phases.indexOf('shadow'), phases.indexOf(phase))) continue;
    if (step.kind === 'check') findings.push(...(await readFindings(db, schema, step)));
  }
  return findings;
}
