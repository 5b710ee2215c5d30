import type { Queryable } from '../database/sql.ts';
import { keepSteady } from '../database/steady.ts';
import { TenantryError } from '../errors.ts';
import { createIsolation } from '../isolation/index.ts';
import type { Adopt, AdoptOptions, PlanOptions, PlanResult, RunOptions } from './adopt-types.ts';
import { createBegin, hashOf } from './begin.ts';
import { acceptDecisions, checkPlan } from './check/check.ts';
import { byDecision, findConflicts } from './conflicts.ts';
import { createAdoptRows } from './decisions/adopt-rows.ts';
import { selectKeptCopies } from './decisions/quarantine.ts';
import { runDry } from './hooks/dry-run.ts';
import { createPhaseHooks } from './hooks/phase-hooks.ts';
import { createHookState } from './hooks/queries.ts';
import { readHooks, verifyHooksOf } from './hooks/read.ts';
import { runVerifyHooks } from './hooks/verify.ts';
import { inspectDatabase } from './inspect.ts';
import type { Inspection } from './inspection.ts';
import { makePlan, outlook } from './make-plan.ts';
import type { PlanDecisions } from './plan.ts';
import { readPlanFile, writePlanFile } from './plan-file.ts';
import { withLine } from './plan-file/lines.ts';
import { type ParsedPlanFile, parsePlanFile } from './plan-file/parse.ts';
import { renderPage } from './page/page.ts';
import { type Plan, phases } from './plan-types.ts';
import { runPreflight } from './preflight.ts';
import { pausedError, planOfRun } from './refusals.ts';
import { reading, requireConnections, translated } from './reach.ts';
import { findReferences } from './references/find.ts';
import { proposeRoots } from './roots.ts';
import { telling } from './run/events.ts';
import { type EngineOptions, readAllFindings, runForward, runHooks, runUndo } from './run/run.ts';
import { createState } from './run/state.ts';
import { readWindowState } from './run/window.ts';
import { compareDumps, dumpSchema } from './schema-dump.ts';
import { readModeStatements } from './script/modes.ts';
import { writeScript } from './script/script.ts';
import { readStatus } from './status.ts';
import { generateTypes } from './types/generate.ts';
import { tenantColumnsOf } from './types/tenant-columns.ts';
import { contractOutcome } from './uniques/steps.ts';

/**
 * Brings an existing database under tenancy while its application runs.
 *
 * @example
 * ```ts
 * const adopt = createAdopt({ adminPool });
 * const { plan, conflicts } = await adopt.plan({ root: 'public.shops' });
 * if (conflicts.length === 0) await adopt.run(plan, { to: 'shadow' });
 * ```
 */
export function createAdopt({
  adminPool,
  schema = 'tenantry',
  hooks,
  isolation = createIsolation({ admin: adminPool, schema }),
  onEvent: onAnyEvent = () => {},
}: AdoptOptions): Adopt {
  requireConnections(adminPool);
  keepSteady(adminPool);
  const entries = readHooks(hooks);
  const state = createState(schema);
  const { refuse, amend, requireNoUpserts, begin } = createBegin({ adminPool, schema, state });

  const engine = (options: RunOptions): EngineOptions => ({
    pool: adminPool,
    schema,
    state,
    isolation,
    // short attempts and many: whoever queues behind one waits no longer than that
    locks: { lockTimeout: 100, attempts: 80, ...options.locks },
    backfill: options,
    force: options.force ?? false,
    signal: options.signal,
    hooks: createPhaseHooks({ schema, entries, confirm: options.confirm, skip: options.withoutHooks ?? false }),
    onEvent: telling(onAnyEvent, options.onEvent),
  });

  const planNow = async (db: Queryable, decisions: PlanDecisions): Promise<Plan> => {
    const inspection = await inspectDatabase(db, schema);
    return makePlan(db, inspection, decisions);
  };

  const planOf = async (
    db: Queryable,
    inspection: Inspection,
    decisions: PlanDecisions | string,
    options: PlanOptions,
  ): Promise<PlanResult> => {
    const parsed = typeof decisions === 'string' ? parsePlanFile(decisions) : undefined;
    const wanted = typeof decisions === 'string' ? readPlanFile(decisions, inspection, options) : decisions;
    // in mid-adoption the catalogue shows our own work: the plan is the one that the run began with
    const open = await state.selectOpenRun(db);
    if (open !== undefined) {
      const result = lined(() => ({ ...planOfRun(open.plan, wanted, parsed, inspection) }), parsed);
      const seen = await outlook(db, open.plan);
      return { ...result, ...seen, ...(typeof decisions === 'string' ? { file: decisions } : {}) };
    }
    const plan = await makePlan(db, inspection, wanted).catch((error: unknown) => {
      throw parsed === undefined ? error : withLine(error, parsed.lineOf);
    });
    return {
      plan,
      file: writePlanFile(plan),
      ...byDecision(await findConflicts(db, plan)),
      ...(await outlook(db, plan)),
    };
  };

  /** The plan of the adoption that is open, or of a file before one. */
  const planAtHand = async (db: Queryable, inspection: Inspection, text: string | undefined): Promise<Plan> => {
    const open = await state.selectOpenRun(db);
    if (open !== undefined) return open.plan;
    if (text === undefined) throw new TenantryError('TNT_ADOPT_UNKNOWN', 'There is no adoption, and no plan.');
    return (await planOf(db, inspection, text, { update: true })).plan;
  };

  /** What hooks show at the end is shown however it ends: their work is committed. */
  const withHooks = async <T>(
    options: RunOptions,
    work: (engine: EngineOptions) => Promise<T>,
    begun: string | null = null,
  ): Promise<T> => {
    const made = engine(options);
    try {
      return await work(made);
    } catch (error) {
      // nobody said yes: as if it had never begun
      if (begun !== null && error instanceof TenantryError && error.code === 'TNT_NOT_CONFIRMED')
        await createHookState(schema).forgetUntouched(adminPool, begun);
      throw error;
    } finally {
      await made.hooks.end(made.onEvent);
    }
  };

  const adopt: Adopt = {
    inspect: () =>
      translated(
        reading(adminPool, async (db) => {
          const inspection = await inspectDatabase(db, schema);
          const references = await findReferences(db, inspection);
          return { inspection, roots: proposeRoots(inspection, references), references };
        }),
      ),

    classify: (decisions) => translated(reading(adminPool, async (db) => (await planNow(db, decisions)).tables)),

    check: (text) => translated(reading(adminPool, (db) => checkPlan(db, schema, state, text))),

    page: (decisions) =>
      translated(
        reading(adminPool, async (db) => {
          const inspection = await inspectDatabase(db, schema);
          const { plan, conflicts } = await planOf(db, inspection, decisions, { update: true });
          return renderPage({ plan, inspection, conflicts });
        }),
      ),

    sql: (decisions) =>
      translated(
        reading(adminPool, async (db) => {
          const inspection = await inspectDatabase(db, schema);
          const { plan } = await planOf(db, inspection, decisions, { update: true });
          return writeScript(plan, await readModeStatements(db, plan, schema), schema);
        }),
      ),

    types: (options) =>
      translated(
        reading(adminPool, async (db) => {
          const inspection = await inspectDatabase(db, schema);
          const plan = await planAtHand(db, inspection, options.plan);
          return generateTypes(tenantColumnsOf(plan, inspection), options, schema);
        }),
      ),

    accept: (text) =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw new TenantryError('TNT_ADOPT_UNKNOWN', 'No adoption is open in this database.');
          return acceptDecisions(adminPool, schema, run, text);
        })(),
      ),

    plan: (decisions, options = {}) =>
      translated(reading(adminPool, async (db) => planOf(db, await inspectDatabase(db, schema), decisions, options))),

    preflight: (plan) => translated(reading(adminPool, (db) => runPreflight(db, plan, schema))),

    run: (plan, options = {}) =>
      translated(
        (async () => {
          const started = performance.now();
          const { to = 'enforced' } = options;
          // a time zone that nobody knows is refused before anything begins
          if (options.window !== undefined) await readWindowState(adminPool, options.window);
          const open = await state.selectOpenRun(adminPool);
          if (open?.paused_at != null) {
            if (options.resume !== true) throw pausedError(open.paused_at);
            await state.setPaused(adminPool, open.id, false);
          }
          const begun = open ?? (plan === null ? undefined : await begin(plan, options, engine(options).onEvent));
          if (begun === undefined)
            throw new TenantryError('TNT_ADOPT_UNKNOWN', 'There is no adoption to go on with, and no plan.');
          const run =
            open !== undefined && plan !== null && hashOf(plan) !== open.plan_hash
              ? await amend(open, plan, options)
              : begun;
          if (to === 'contract') await requireNoUpserts(run.plan, options);
          await withHooks(options, (work) => runForward(work, run, to), open === undefined ? run.id : null);
          const rows = (await state.selectSteps(adminPool, run.id)).reduce((sum, step) => sum + step.rows_done, 0);
          const now = await state.selectOpenRun(adminPool);
          return {
            runId: run.id,
            phase: now?.phase ?? to,
            tables: run.plan.order.length,
            rows,
            seconds: (performance.now() - started) / 1000,
          };
        })(),
      ),

    contract: (options = {}) =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw noOpenRun();
          if (phases.indexOf(run.phase) < phases.indexOf('enforced'))
            throw new TenantryError(
              'TNT_PLAN_INVALID',
              `The adoption is at ${run.phase}: contract comes behind enforced.`,
              { hint: 'First: tenantry adopt run' },
            );
          const result = await adopt.run(options.plan ?? null, { ...options, to: 'contract' });
          const { plan } = (await state.selectOpenRun(adminPool)) ?? run;
          return { ...result, ...contractOutcome(plan) };
        })(),
      ),

    dryRun: (plan, options = {}) =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          const wanted = run?.plan ?? plan;
          if (wanted === null) throw new TenantryError('TNT_ADOPT_UNKNOWN', 'There is no adoption and no plan.');
          const findings = run === undefined ? await refuse(wanted, options.force ?? false, 'not asked') : [];
          const steps = run === undefined ? [] : await state.selectSteps(adminPool, run.id);
          const done = new Set(steps.filter(({ status }) => status === 'done').map(({ id }) => id));
          const { to = 'enforced' } = options;
          const dry = await runDry({ pool: adminPool, schema, plan: wanted, run, done, entries, to });
          return { findings, ...dry };
        })(),
      ),

    hooks: (options = {}) =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw noOpenRun();
          return withHooks(options, (work) => runHooks(work, run));
        })(),
      ),

    verify: () =>
      translated(
        reading(adminPool, async (db) => {
          const run = await state.selectOpenRun(db);
          if (run === undefined) throw noOpenRun();
          return readAllFindings(db, schema, run);
        }),
      ),

    verifyHooks: () =>
      translated(
        reading(adminPool, async (db) => {
          // hooks name their tables as the application does
          await db.query('set local search_path to default');
          return runVerifyHooks(db, hooks === undefined ? [] : verifyHooksOf(hooks));
        }),
      ),

    status: () => translated(readStatus(adminPool, schema, state)),

    ...createAdoptRows({ adminPool, schema, state }),

    pause: () =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw noOpenRun();
          await state.setPaused(adminPool, run.id, true);
          return { running: run.held };
        })(),
      ),

    resume: () =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw noOpenRun();
          await state.setPaused(adminPool, run.id, false);
        })(),
      ),

    undo: (options = {}) =>
      translated(
        (async () => {
          const run = await state.selectOpenRun(adminPool);
          if (run === undefined) throw noOpenRun();
          const to = options.to ?? 'preflight';
          // a pause is for the way forward; one that comes from now on stops the way back as well
          await state.setPaused(adminPool, run.id, false);
          await withHooks(options, (work) => runUndo(work, run, to));
          const after = await reading(adminPool, (db) => dumpSchema(db, schema));
          return {
            phase: to,
            differences: to === 'preflight' ? compareDumps(run.schema_before, after) : [],
            kept:
              phases.indexOf(to) < phases.indexOf('enforced') ? await selectKeptCopies(adminPool, schema, run.id) : [],
          };
        })(),
      ),
  };
  return adopt;
}

/** A refusal of a file's decision, with its line. */
function lined<T>(work: () => T, parsed: ParsedPlanFile | undefined): T {
  try {
    return work();
  } catch (error) {
    throw parsed === undefined ? error : withLine(error, parsed.lineOf);
  }
}

function noOpenRun(): TenantryError {
  return new TenantryError('TNT_ADOPT_UNKNOWN', 'No adoption is open in this database.');
}
