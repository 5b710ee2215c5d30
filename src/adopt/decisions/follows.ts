import { groupBy } from '../graph.ts';
import type { TableName } from '../inspection.ts';
import { once } from '../lookups.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { mayQuarantine } from './rule.ts';

type PlanOfTables = Pick<Plan, 'tables' | 'keys' | 'mapping'>;

const childrenOf = once((tables: readonly TablePlan[]) =>
  groupBy(
    tables.flatMap((table) => table.via.map((key) => ({ table, parent: key.parent }))),
    ({ parent }) => parent,
  ),
);
const waiting = new WeakMap<readonly TablePlan[], ReadonlySet<TableName>>();

/** True when a decision lets rows of the table be without a tenant: its own, or one about what it hangs on. */
export function mayBeWithout(plan: PlanOfTables, table: TablePlan): boolean {
  const known = waiting.get(plan.tables) ?? findWaiting(plan);
  waiting.set(plan.tables, known);
  return known.has(table.table);
}

/** Tables whose own decisions let rows wait, and whatever hangs on them; a root's rows always have their tenant. */
function findWaiting(plan: PlanOfTables): Set<TableName> {
  const children = childrenOf(plan.tables);
  const found = new Set(
    plan.tables.filter((table) => table.class !== 'root' && mayWait(plan, table)).map((table) => table.table),
  );
  // a set hands out what is added while it is walked
  for (const name of found)
    for (const { table } of children.get(name) ?? []) if (table.class !== 'root') found.add(table.table);
  return found;
}

/** By its own decisions, or because its key may come before its organization. */
function mayWait(plan: Pick<Plan, 'keys' | 'mapping'>, table: TablePlan): boolean {
  return mayQuarantine(table.rule) || (plan.mapping !== null && plan.keys[table.table] !== undefined);
}
