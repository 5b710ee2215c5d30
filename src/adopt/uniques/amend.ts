import { isDeepStrictEqual } from 'node:util';
import { TenantryError } from '../../errors.ts';
import { copiedTables } from '../decisions/duplicate.ts';
import type { Inspection } from '../inspection.ts';
import type { PlanDecisions } from '../plan.ts';
import { type Plan, phases, type Step } from '../plan-types.ts';
import type { StepRow } from '../run/state.ts';
import { checkCompositeKeys, planCompositeKeys } from './composite.ts';
import { decideUniques, KeyProblem } from './judge.ts';
import { planRetirements, planUniqueChecks, planUniqueIndexes } from './steps.ts';

/** The steps that nothing else stands on, with the others: unique keys per tenant and foreign keys that carry the tenant. */
export function withKeySteps(plan: Plan, steps: readonly Step[]): Step[] {
  const base = steps.filter((step) => step.optional !== true);
  const byName = new Map(plan.tables.map((table) => [table.table, table]));
  const tables = plan.order.flatMap((name) => byName.get(name) ?? []);
  const copied = new Set(copiedTables(plan).map((table) => table.table));
  // copies of a row have its values: there the global keys go before they are made
  const early = tables.filter((table) => copied.has(table.table));
  const late = tables.filter((table) => !copied.has(table.table));
  const all = [
    ...early.flatMap((table) => planRetirements(plan, table, 'enforced')),
    ...base,
    ...tables.flatMap((table) => planUniqueChecks(plan, table)),
    ...tables.flatMap((table) => planUniqueIndexes(plan, table)),
    ...planCompositeKeys(plan),
    ...late.flatMap((table) => planRetirements(plan, table)),
  ];
  // stable: within a phase the order stays
  return all.toSorted((a, b) => phases.indexOf(a.phase) - phases.indexOf(b.phase));
}

/**
 * The plan of a run that is open with other decisions about keys: those alone can be added, or taken back, in its course. Pure.
 *
 * @throws TNT_PLAN_INVALID
 */
export function amendPlan(open: Plan, wanted: PlanDecisions, inspection: Inspection): Plan {
  const tables = open.tables.map((table) => {
    const decided = wanted.tables?.[table.table];
    const facts = inspection.tables.find((one) => one.name === table.table);
    if (facts === undefined) return table;
    const present = table.uniques.filter((unique) => unique.definition !== null || !unique.name.startsWith('('));
    return {
      ...table,
      uniques: asInvalid(table.table, () => decideUniques(present, facts, decided?.uniques)),
      compositeKeys: decided?.compositeKeys ?? [],
    };
  });
  for (const table of tables)
    if (table.class !== 'undecided') asInvalid(table.table, () => checkCompositeKeys(tables, table));
  const plan = { ...open, tables };
  return { ...plan, steps: withKeySteps(plan, open.steps) };
}

/**
 * What adding or taking out keys changes in a run.
 *
 * @throws TNT_PLAN_DRIFTED when the plans differ in anything else, or a key that is taken out is there already
 */
export function amendment(
  open: Plan,
  plan: Plan,
  rows: readonly StepRow[],
  hint: string,
): { readonly removed: readonly string[]; readonly added: readonly Step[] } {
  const refuse = (message: string, way = hint): never => {
    throw new TenantryError('TNT_PLAN_DRIFTED', message, { hint: way });
  };
  const before = new Map(open.steps.map((step) => [step.id, step]));
  const after = new Map(plan.steps.map((step) => [step.id, step]));
  const base = (one: Plan): unknown => [
    one.column,
    one.root,
    one.constant,
    one.order,
    one.steps.filter((step) => step.optional !== true),
  ];
  if (!isDeepStrictEqual(plain(base(open)), plain(base(plan)))) refuse('An adoption by another plan is under way.');
  const status = new Map(rows.map((row) => [row.id, row.status]));
  const removed = [...before.keys()].filter((id) => !isDeepStrictEqual(plain(after.get(id)), plain(before.get(id))));
  for (const id of removed) {
    const now = status.get(id) ?? 'pending';
    if (now !== 'pending' && now !== 'undone')
      refuse(
        `The plan leaves out a key that the adoption has made (${id}).`,
        `Take it back first: tenantry adopt undo --to ${phaseBefore(before.get(id))} --yes — then: tenantry adopt run`,
      );
  }
  const added = plan.steps.filter(({ id }) => !before.has(id) || removed.includes(id));
  return { removed, added };
}

const phaseBefore = (step: Step | undefined): string =>
  phases[Math.max(0, phases.indexOf(step?.phase ?? 'tighten') - 1)] ?? 'verify';

/** As a plan is kept: without what is left out. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

/** A decision that cannot be carried out, as an error of the plan that names its field. */
export function asInvalid<T>(table: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof KeyProblem)) throw error;
    throw new TenantryError('TNT_PLAN_INVALID', `tables.${table}.${error.path.join('.')}: ${error.message}.`, {
      details: { path: ['tables', table, ...error.path] },
    });
  }
}
