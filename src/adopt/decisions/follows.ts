import type { TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { mayQuarantine } from './rule.ts';

/** True when rows of the table stay without a tenant because what they hang on is in quarantine. */
export function followsQuarantine(
  plan: Pick<Plan, 'tables'>,
  table: TablePlan,
  seen: ReadonlySet<TableName> = new Set(),
): boolean {
  return table.via.some((key) => {
    const parent = plan.tables.find((t) => t.table === key.parent);
    if (parent === undefined || parent.class === 'root' || seen.has(parent.table)) return false;
    return mayQuarantine(parent.rule) || followsQuarantine(plan, parent, new Set([...seen, table.table]));
  });
}

/** True when a decision lets rows of the table be without a tenant: its own, or one about what it hangs on. */
export function mayBeWithout(plan: Pick<Plan, 'tables'>, table: TablePlan): boolean {
  return table.class !== 'root' && (mayQuarantine(table.rule) || followsQuarantine(plan, table));
}
