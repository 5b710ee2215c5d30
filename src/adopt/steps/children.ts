import type { ForeignKey, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** Keys of other tables by which their rows get the tenant of this table's rows. */
export function keysFromChildren(plan: Plan, table: TableName): { child: TablePlan; key: ForeignKey }[] {
  return plan.tables.flatMap((child) =>
    child.via.filter((key) => key.parent === table && child.table !== table).map((key) => ({ child, key })),
  );
}
