import { TenantryError } from '../../errors.ts';
import { type Phase, phases } from '../plan-types.ts';
import type { AdoptHooks, HookContext, HookEntry, HookMoment, VerifyHook } from './types.ts';

/**
 * The hooks as a list, in their order, checked: JavaScript writes them too.
 *
 * @throws TNT_HOOKS_INVALID naming the field
 */
export function readHooks(hooks: AdoptHooks | undefined): HookEntry[] {
  if (hooks === undefined) return [];
  const places = asRecord(hooks, 'the hooks');
  for (const field of Object.keys(places)) {
    if (!['beforePhase', 'afterPhase', 'onOrganization', 'onVerify'].includes(field)) {
      throw invalid(`${field} is none of beforePhase, afterPhase, onOrganization and onVerify`);
    }
  }
  const entries = [
    ...ofPhases(places['beforePhase'], 'before', 'beforePhase'),
    ...ofPhases(places['afterPhase'], 'after', 'afterPhase'),
    ...listOf(places['onOrganization'], 'onOrganization').map(([hook, path]) =>
      entryOf(hook, path, 'organization', 'expand'),
    ),
  ];
  const checked = listOf(places['onVerify'], 'onVerify').map(([hook, path]) =>
    entryOf(hook, path, 'organization', 'expand'),
  );
  const names = new Set<string>();
  for (const { name } of [...entries, ...checked]) {
    if (names.has(name)) throw invalid(`two hooks are named "${name}", and a run tells them apart by their names`);
    names.add(name);
  }
  return entries;
}

/** The hooks of `adopt verify`; they are checked by {@link readHooks}. */
export function verifyHooksOf({ onVerify }: AdoptHooks): readonly VerifyHook[] {
  return onVerify === undefined ? [] : [onVerify].flat();
}

function ofPhases(value: unknown, moment: HookMoment, path: string): HookEntry[] {
  if (value === undefined) return [];
  return Object.entries(asRecord(value, path)).flatMap(([name, hooks]) => {
    const phase = phases.find((known) => known === name);
    if (phase === undefined) throw invalid(`${path}.${name}: there is no such phase; phases are ${phases.join(', ')}`);
    return listOf(hooks, `${path}.${name}`).map(([hook, place]) => entryOf(hook, place, moment, phase));
  });
}

function listOf(value: unknown, path: string): [unknown, string][] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map((hook, i) => [hook, `${path}[${i}]`]) : [[value, path]];
}

type Call = (context: HookContext) => Promise<void> | void;

function entryOf(value: unknown, path: string, moment: HookMoment, phase: Phase): HookEntry {
  const hook = asRecord(value, path);
  const { name, confirm, run, undo } = hook;
  if (typeof name !== 'string' || name.trim() === '' || name.length > 100)
    throw invalid(`${path}.name must be 1 to 100 characters`);
  if (confirm !== undefined && (typeof confirm !== 'string' || confirm === ''))
    throw invalid(`${path}.confirm must be a question`);
  if (typeof run !== 'function') throw invalid(`${path}.run must be a function`);
  if (undo !== undefined && typeof undo !== 'function') throw invalid(`${path}.undo must be a function`);
  return {
    name,
    moment,
    phase,
    confirm,
    run: (run as Call).bind(hook),
    undo: undo === undefined ? undefined : (undo as Call).bind(hook),
  };
}

function asRecord(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(`${path} must be an object`);
}

function invalid(message: string): TenantryError {
  return new TenantryError('TNT_HOOKS_INVALID', `The hooks are not valid: ${message}.`);
}
