import { isDeepStrictEqual } from 'node:util';
import { counted } from '../counted.ts';
import { TenantryError } from '../errors.ts';
import type { PlanResult } from './adopt-types.ts';
import { compareDecisions } from './check/against-run.ts';
import type { PlanDifference } from './check/difference.ts';
import { type Conflict, describeConflict } from './conflicts.ts';
import { rowDecisions } from './decisions/classes.ts';
import { labelsOf } from './graph.ts';
import type { Inspection } from './inspection.ts';
import type { PlanDecisions } from './plan.ts';
import { writePlanFile } from './plan-file.ts';
import type { ParsedPlanFile } from './plan-file/parse.ts';
import type { Plan } from './plan-types.ts';
import type { PreflightFinding } from './preflight.ts';
import { amendPlan } from './uniques/amend.ts';

/**
 * The plan of the run that is open, with the decisions about keys that a person added since.
 *
 * @throws TNT_PLAN_DRIFTED when anything else is decided otherwise, with the lines of a file and the way
 */
export function planOfRun(
  plan: Plan,
  wanted: PlanDecisions,
  parsed: ParsedPlanFile | undefined,
  inspection: Inspection,
): Omit<PlanResult, 'organizations' | 'memberships'> {
  const changed = parsed === undefined ? [] : compareDecisions(parsed, plan);
  if (changed.length > 0 || !isSame(plan, wanted)) throw changedError(changed);
  const amended = amendPlan(plan, wanted, inspection);
  return { plan: amended, file: writePlanFile(amended), conflicts: [], decided: [] };
}

function isSame(plan: Plan, wanted: PlanDecisions): boolean {
  return (
    (wanted.column ?? plan.column) === plan.column &&
    (wanted.root ?? null) === (plan.root?.table ?? null) &&
    (wanted.rootKey === undefined || wanted.rootKey.join('|') === plan.root?.key.join('|')) &&
    (wanted.query ?? null) === (plan.mapping?.query ?? null) &&
    (plan.mapping === null || isDeepStrictEqual(plain(wanted.keys), columnsOf(plan))) &&
    isDeepStrictEqual(plain(wanted.memberships), plain(plan.memberships?.decisions)) &&
    (wanted.constant ?? null) === (plan.constant?.name ?? null) &&
    JSON.stringify(wanted.references ?? plan.references) === JSON.stringify(plan.references) &&
    plan.tables.every((table) => {
      const decided = wanted.tables?.[table.table];
      return (
        (decided?.class === undefined || decided.class === table.class) &&
        JSON.stringify(rowDecisions(decided ?? {})) === JSON.stringify(table.decided ?? {}) &&
        (decided?.via === undefined || decided.via.join('|') === labelsOf(table.via).join('|'))
      );
    })
  );
}

function changedError(changed: readonly PlanDifference[]): TenantryError {
  if (changed.length === 0)
    return new TenantryError('TNT_PLAN_DRIFTED', 'An adoption by another plan is under way.', { hint: underWay });
  const lines = changed.map(({ line, message }) => `line ${line}: ${message}`);
  return new TenantryError(
    'TNT_PLAN_DRIFTED',
    `An adoption is open, and the plan decides otherwise what it has begun with: ${lines.join('; ')}.`,
    {
      details: { differences: changed },
      hint: 'Put the lines back, or take the adoption back first: tenantry adopt undo --yes. Single rows in quarantine: tenantry adopt release. What may be added in its course: uniques, composite_keys.',
    },
  );
}

/** The names of the columns that hold a mapping's key, by table. */
const columnsOf = ({ keys }: Plan): Record<string, string[]> =>
  Object.fromEntries(Object.entries(keys).map(([table, held]) => [table, held.map(({ name }) => name)]));

/** As a plan is kept: without what is left out. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

export const underWay = 'Go on with it: tenantry adopt run — or take it back first: tenantry adopt undo';

export function pausedError(since: Date): TenantryError {
  return new TenantryError('TNT_ADOPT_PAUSED', `The adoption has been paused since ${since.toISOString()}.`);
}

/** @throws TNT_PLAN_UNDECIDED */
export function refuseUndecided(plan: Plan): void {
  const undecided = plan.tables.filter((table) => table.class === 'undecided');
  if (undecided.length === 0) return;
  const offered = plan.offers.filter((offer) => undecided.some((t) => t.table === offer.table));
  throw new TenantryError(
    'TNT_PLAN_UNDECIDED',
    `${counted(undecided.length, 'table is', 'tables are')} undecided: ${undecided.map(({ table, reason }) => `${table} (${reason})`).join('; ')}.`,
    {
      hint: [
        `In the plan write for each "class: shared" (the same rows for every tenant), or "class: owned" with "via: [column]" where a key leads to the tenant.`,
        ...(offered.length === 0
          ? []
          : [
              `Columns that look like keys, to uncomment under references: ${offered.map(({ from }) => from).join(', ')}.`,
            ]),
      ].join(' '),
      details: {
        tables: undecided.map(({ table, reason }) => ({
          table,
          reason,
          offers: offered
            .filter((offer) => offer.table === table)
            .map(({ from, to, confidence }) => ({ from, to, confidence })),
        })),
      },
    },
  );
}

export function conflictsError(conflicts: readonly Conflict[]): TenantryError {
  return new TenantryError('TNT_ADOPT_CONFLICTS', `${conflicts.map(describeConflict).join('; ')}.`, {
    details: { conflicts },
  });
}

export function preflightError(blockers: readonly PreflightFinding[]): TenantryError {
  const privilege = blockers.some((finding) => finding.code.startsWith('privilege'));
  return new TenantryError(
    privilege ? 'TNT_PRIVILEGE_MISSING' : 'TNT_PLAN_INVALID',
    `${blockers.map((finding) => finding.message).join('; ')}.`,
    { details: { findings: blockers }, hint: blockers[0]?.fix ?? 'See: tenantry adopt plan' },
  );
}
