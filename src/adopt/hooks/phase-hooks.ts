import { TenantryError } from '../../errors.ts';
import { type Phase, phases } from '../plan-types.ts';
import type { RunRow, StepRow } from '../run/state.ts';
import { assertGoing, type RunContext } from '../run/steps-run.ts';
import { ask, type Confirm, type HookSession, performHook } from './perform.ts';
import { createHookState, type HookRow } from './queries.ts';
import type { HookEntry, HookMoment } from './types.ts';

export interface PhaseHooksOptions {
  readonly schema: string;
  readonly entries: readonly HookEntry[];
  readonly confirm: Confirm | undefined;
  /** Leave out hooks that the run was begun with. */
  readonly skip: boolean;
}

/** What the engine calls between its steps. */
export interface PhaseHooks {
  /** Before anything else: the questions of every hook that is still to run. @throws TNT_HOOKS_MISSING, TNT_NOT_CONFIRMED */
  prepare(context: RunContext, run: RunRow, to: Phase, only?: HookMoment): Promise<void>;
  before(context: RunContext, run: RunRow, phase: Phase, steps: ReadonlyMap<string, StepRow>): Promise<void>;
  after(context: RunContext, phase: Phase): Promise<void>;
  /** Organizations that came since. */
  organizations(context: RunContext, phase: Phase): Promise<number>;
  /** @throws TNT_HOOKS_MISSING when undo needs a hook that is not here */
  prepareUndo(context: RunContext, to: Phase): Promise<void>;
  undoAfter(context: RunContext, phase: Phase): Promise<void>;
  undoBefore(context: RunContext, phase: Phase): Promise<void>;
  /** Shows what was to be shown at the end. */
  end(onEvent: RunContext['onEvent']): Promise<void>;
}

/** Organizations that are looked up at once. */
const batch = 500;
const rank = (phase: Phase): number => phases.indexOf(phase);

export function createPhaseHooks({ schema, entries, confirm, skip }: PhaseHooksOptions): PhaseHooks {
  const state = createHookState(schema);
  const session: HookSession = { state, confirm, answered: new Set(), revealed: [] };
  const done = async (context: RunContext): Promise<HookRow[]> =>
    state.selectDone(context.pool, context.lease.fence.runId);
  const at = (moment: HookEntry['moment'], phase: Phase): HookEntry[] =>
    entries.filter((entry) => entry.moment === moment && entry.phase === phase);
  const pending = async (context: RunContext, wanted: readonly HookEntry[]): Promise<HookEntry[]> => {
    if (wanted.length === 0) return [];
    const names = new Set((await done(context)).map(({ name }) => name));
    return wanted.filter(({ name }) => !names.has(name));
  };

  const organizations = async (context: RunContext, phase: Phase): Promise<number> => {
    let count = 0;
    for (const entry of entries.filter(({ moment }) => moment === 'organization')) {
      for (;;) {
        const found = await state.selectPending(context.pool, context.lease.fence.runId, entry.name, batch);
        if (found.length === 0) break;
        for (const organization of found) {
          assertGoing(context);
          if (!(await performHook(context, session, { entry, phase, organization, undo: false })))
            context.lease.assertHeld();
          else count += 1;
        }
      }
    }
    return count;
  };

  const undoRows = async (
    context: RunContext,
    phase: Phase,
    moments: readonly HookEntry['moment'][],
  ): Promise<void> => {
    const rows = (await done(context)).filter((row) => row.phase === phase && moments.includes(row.moment)).reverse();
    const ids = rows.flatMap(({ organization_id: id }) => id ?? []);
    const known = new Map((await state.selectOrganizations(context.pool, ids)).map((one) => [one.id, one]));
    for (const row of rows) {
      const entry = entries.find(({ name }) => name === row.name);
      const organization = row.organization_id === null ? null : known.get(row.organization_id);
      // its organization went meanwhile, it has no way back, or it is to be left as it is
      if (organization === undefined || entry?.undo === undefined) {
        await state.forget(context.pool, context.lease.fence, row.name, row.organization_id);
        continue;
      }
      await performHook(context, session, { entry, phase, organization, undo: true });
    }
  };

  return {
    async prepare(context, run, to, only) {
      const missing = run.hooks.filter((name) => !entries.some((entry) => entry.name === name));
      if (entries.length === 0 && missing.length > 0 && !skip) throw missingHooks(missing, 'run');
      if (entries.length === 0) return;
      await state.rememberNames(
        context.pool,
        context.lease.fence,
        entries.map(({ name }) => name),
      );
      for (const entry of await pending(context, entries)) {
        const { name, confirm: question, moment, phase } = entry;
        if (question === undefined || rank(phase) > rank(to) || (only !== undefined && moment !== only)) continue;
        // it came too late for its phase and is left out
        if (moment === 'before' && phase !== 'preflight' && rank(phase) <= rank(run.phase)) continue;
        await ask(session, name, question);
      }
    },

    async before(context, run, phase, steps) {
      for (const entry of await pending(context, at('before', phase))) {
        if (begun(run, phase, steps)) {
          await context.onEvent({
            type: 'warning',
            message: `The hook "${entry.name}" is left out: ${phase} had begun before it was there.`,
          });
          continue;
        }
        await performHook(context, session, { entry, phase, organization: null, undo: false });
      }
    },

    async after(context, phase) {
      if (rank(phase) >= rank('expand')) await organizations(context, phase);
      for (const entry of await pending(context, at('after', phase)))
        await performHook(context, session, { entry, phase, organization: null, undo: false });
    },

    organizations,

    async prepareUndo(context, to) {
      if (skip) return;
      const missing = (await done(context)).filter(
        (row) =>
          row.has_undo &&
          (to === 'preflight' || rank(row.phase) > rank(to)) &&
          !entries.some((entry) => entry.name === row.name && entry.undo !== undefined),
      );
      if (missing.length > 0) throw missingHooks([...new Set(missing.map(({ name }) => name))], 'undo');
    },

    undoAfter: (context, phase) => undoRows(context, phase, ['after', 'organization']),
    undoBefore: (context, phase) => undoRows(context, phase, ['before']),

    async end(onEvent) {
      for (const { hook, text } of session.revealed.splice(0)) await onEvent({ type: 'reveal', hook, text });
    },
  };
}

/** A step of the phase, or of one behind it, was started. */
function begun(run: RunRow, phase: Phase, steps: ReadonlyMap<string, StepRow>): boolean {
  if (phase !== 'preflight' && rank(phase) <= rank(run.phase)) return true;
  return [...steps.values()].some(
    (step) => rank(step.phase) >= rank(phase) && (step.status === 'done' || step.status === 'running'),
  );
}

function missingHooks(names: readonly string[], command: 'run' | 'undo'): TenantryError {
  return new TenantryError(
    'TNT_HOOKS_MISSING',
    `This adoption has hooks that are not here: ${names.map((name) => `"${name}"`).join(', ')}.`,
    {
      details: { hooks: names },
      hint: `Repeat with: tenantry adopt ${command} --hooks FILE — or leave their work as it is: --without-hooks`,
    },
  );
}
