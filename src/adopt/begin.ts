import { createHash } from 'node:crypto';
import type { PoolLike } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import type { RunOptions } from './adopt-types.ts';
import { byDecision, findConflicts } from './conflicts.ts';
import type { Confirm } from './hooks/perform.ts';
import { requireUsableData } from './make-plan.ts';
import type { Plan } from './plan-types.ts';
import { type PreflightFinding, runPreflight } from './preflight.ts';
import { selectStatements } from './preflight-queries.ts';
import { reading } from './reach.ts';
import { conflictsError, preflightError, refuseUndecided, underWay } from './refusals.ts';
import type { OnEvent } from './run/events.ts';
import type { RunRow, State } from './run/state.ts';
import { dumpSchema } from './schema-dump.ts';
import { amendment } from './uniques/amend.ts';
import { askUpserts, contractFindings, upsertFindings, upsertQuestion } from './uniques/upserts.ts';

export interface BeginOptions {
  readonly adminPool: PoolLike;
  readonly schema: string;
  readonly state: State;
}

/** What stands before the first step: refusals, questions, and the run's own record. */
export function createBegin({ adminPool, schema, state }: BeginOptions) {
  /** @returns what deserves a look and stops nothing */
  const refuse = async (
    plan: Plan,
    force: boolean,
    confirm?: Confirm | 'not asked',
  ): Promise<readonly PreflightFinding[]> => {
    const { findings, question } = await reading(adminPool, async (db) => {
      await requireUsableData(db, plan);
      const { conflicts } = byDecision(await findConflicts(db, plan));
      if (conflicts.length > 0) throw conflictsError(conflicts);
      refuseUndecided(plan);
      const findings = await runPreflight(db, plan, schema);
      const blockers = findings.filter((finding) => finding.level === 'blocker');
      if (blockers.length > 0 && !force) throw preflightError(blockers);
      return { findings, question: await upsertQuestion(db, plan, 'begin') };
    });
    if (confirm !== 'not asked' && !force) await askUpserts(question, confirm);
    return findings;
  };

  /** Takes decisions about keys into the run that is open. */
  const amend = async (run: RunRow, plan: Plan, { force = false, confirm }: RunOptions): Promise<RunRow> => {
    const { removed, added } = amendment(run.plan, plan, await state.selectSteps(adminPool, run.id), underWay);
    if (run.held) throw new TenantryError('TNT_ADOPT_RUNNING', 'A process is working on the adoption now.');
    const question = await reading(adminPool, async (db) => {
      const blockers = upsertFindings(plan, (await selectStatements(db)) ?? []);
      if (blockers.length > 0 && !force) throw preflightError(blockers);
      return upsertQuestion(db, plan, 'begin');
    });
    if (added.length > 0 && !force) await askUpserts(question, confirm);
    const client = await adminPool.connect();
    try {
      await client.query('begin');
      await state.amendRun(client, run.id, plan, hashOf(plan), removed);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
    return (await state.selectOpenRun(adminPool)) ?? run;
  };

  /** @throws TNT_PLAN_INVALID, TNT_NOT_CONFIRMED where statements would be refused without the keys that go */
  const requireNoUpserts = async (plan: Plan, { force = false, confirm }: RunOptions): Promise<void> => {
    if (force) return;
    const question = await reading(adminPool, async (db) => {
      const blockers = contractFindings(plan, (await selectStatements(db)) ?? []);
      if (blockers.length > 0) throw preflightError(blockers);
      return upsertQuestion(db, plan, 'contract');
    });
    await askUpserts(question, confirm);
  };

  /** Refuses what must be decided first; makes the run and all its steps in one transaction. */
  const begin = async (plan: Plan, { force = false, confirm }: RunOptions, onEvent: OnEvent): Promise<RunRow> => {
    for (const { level, message } of await refuse(plan, force, confirm))
      if (level === 'warning') await onEvent({ type: 'warning', message });
    const client = await adminPool.connect();
    try {
      await client.query('begin');
      await client.query('set local search_path = pg_catalog, pg_temp');
      const id = await state.insertRun(client, plan, hashOf(plan), await dumpSchema(client, schema));
      await state.insertSteps(client, id, plan.steps);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      // 23505: another process began at the same moment; the lease decides who goes on
      if (!isDuplicate(error)) throw error;
    } finally {
      client.release();
    }
    const run = await state.selectOpenRun(adminPool);
    if (run === undefined) throw new TenantryError('TNT_ADOPT_UNKNOWN', 'The adoption was undone meanwhile.');
    return run;
  };

  return { refuse, amend, requireNoUpserts, begin };
}

/** The decisions and the steps count; sizes and estimates change while the application runs. */
export function hashOf(plan: Plan): string {
  const { column, root, constant, order, steps } = plan;
  const keys = plan.tables.map(({ uniques }) => uniques.map(({ name, decided }) => [name, decided]));
  return createHash('sha256').update(JSON.stringify({ column, root, constant, order, steps, keys })).digest('hex');
}

function isDuplicate(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '23505';
}
