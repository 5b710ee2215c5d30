import { ident, type Statement } from '../../database/sql.ts';
import { policiesOf, replacePolicies } from '../../isolation/policy.ts';
import { copiedTables, planCopyChecks, planDuplicates } from '../decisions/duplicate.ts';
import { planOrphanOrganizations } from '../decisions/orphans.ts';
import type { Inspection } from '../inspection.ts';
import { planMembershipChecks } from '../memberships/differences.ts';
import { planMembershipBatches, planMembershipFunctions, planMembershipTriggers } from '../memberships/steps.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { planBackfill } from './backfill.ts';
import { planColumn, planConstant, planSchemas, planTriggers } from './expand.ts';
import { planHeir } from './heirs.ts';
import { planMapping } from './mapping.ts';
import { planReferences } from './references.ts';
import { planTighten } from './tighten.ts';
import { withKeySteps } from '../uniques/amend.ts';
import { planVerify } from './verify.ts';

/** Every step of every phase, in the order in which they run; undo takes them the other way round. */
export function planSteps(plan: Plan, inspection: Inspection): Step[] {
  const byName = new Map(plan.tables.map((table) => [table.table, table]));
  const tables = plan.order.flatMap((name) => byName.get(name) ?? []);
  const copied = new Set(copiedTables(plan).map((table) => table.table));
  // a mode of the table that others inherit from is theirs too: its policies are put on each of them
  const heads = tables.filter((table) => table.inherits.length === 0);
  return withKeySteps(plan, [
    ...planSchemas(plan, inspection),
    ...planMembershipFunctions(plan, inspection),
    ...(plan.constant === null ? [] : [planConstant(plan.constant)]),
    // every column before any trigger: a trigger that takes children along finds their columns, on the way back too
    ...ancestorsFirst(tables).map((table) => planColumn(plan, table)),
    ...planMapping(plan),
    ...tables
      .filter((table) => table.class === 'root')
      .flatMap((table) => planTriggers(plan, table, inspection.triggers)),
    // an organization that the root has is found by its slug, not made again
    ...planOrphanOrganizations(plan),
    ...tables
      .filter((table) => table.class !== 'root')
      .flatMap((table) => planTriggers(plan, table, inspection.triggers)),
    // the organizations are there by now: rows of the root that come later bring theirs
    ...planMembershipTriggers(plan, inspection),
    ...planMembershipBatches(plan),
    ...(plan.constant === null ? tables.flatMap((table) => planBackfill(plan, table, inspection.triggers)) : []),
    ...tables.flatMap((table) => planVerify(plan, table)),
    ...(plan.memberships === null ? [] : planMembershipChecks(plan, plan.memberships)),
    ...tables.flatMap((table) => planTighten(plan, table)),
    ...heads.filter((table) => !copied.has(table.table)).map((table) => modeStep(plan, table, 'shadow')),
    ...tables.flatMap((table) => planHeir(table, inspection)),
    ...planDuplicates(plan, inspection),
    // in shadow every row that is yet to be copied would be counted: these tables go there when their copies are made
    ...heads
      .filter((table) => copied.has(table.table))
      .map((table): Step => ({ ...modeStep(plan, table, 'shadow'), phase: 'enforced' })),
    ...tables.flatMap((table) => planReferences(plan, table)),
    ...planCopyChecks(plan),
    ...heads.map((table) => modeStep(plan, table, 'enforced')),
  ]);
}

/** A table that inherits has the column when that which it inherits from has it. */
function ancestorsFirst(tables: readonly TablePlan[]): TablePlan[] {
  const heads = tables.filter((table) => table.inherits.length === 0);
  const rest = tables.filter((table) => table.inherits.length > 0);
  return [...heads, ...rest];
}

/** The isolation engine reads the table again and does this in one transaction; the statements here are for the reader. */
function modeStep(plan: Plan, table: TablePlan, mode: 'shadow' | 'enforced'): Step {
  const target = { schema: table.schema, table: table.name };
  const declaration = { ...target, column: plan.column, key: { kind: 'uuid' } as const };
  const ownership: Statement[] = [
    {
      purpose: `policies do not bind an owner: ${table.owner} keeps what a running application uses`,
      text: `alter table ${table.table} owner to tenantry_owner`,
    },
    {
      purpose: 'the application goes on reading and writing',
      text: `grant select, insert, update, delete on ${table.table} to ${ident(table.owner)}, tenantry_app`,
    },
  ];
  return {
    id: `${mode}/${table.table}/mode`,
    phase: mode,
    table: table.table,
    kind: 'mode',
    mode,
    up: [
      ...(mode === 'shadow' ? ownership : []),
      ...replacePolicies(target, policiesOf(declaration, { mode })),
      { purpose: 'bind everybody but the owner', text: `alter table ${table.table} enable row level security` },
    ],
    down: [],
  };
}
