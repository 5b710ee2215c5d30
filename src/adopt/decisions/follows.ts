import type { TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { mayQuarantine } from './rule.ts';

/** True when rows of the table stay without a tenant because what they hang on is in quarantine. */
export function followsQuarantine(
  plan: Pick<Plan, 'tables' | 'keys' | 'mapping'>,
  table: TablePlan,
  seen: ReadonlySet<TableName> = new Set(),
): boolean {
  return table.via.some((key) => {
    const parent = plan.tables.find((t) => t.table === key.parent);
    if (parent === undefined || parent.class === 'root' || seen.has(parent.table)) return false;
    return mayWait(plan, parent) || followsQuarantine(plan, parent, new Set([...seen, table.table]));
  });
}

/** True when a decision lets rows of the table be without a tenant: its own, or one about what it hangs on. */
export function mayBeWithout(plan: Pick<Plan, 'tables' | 'keys' | 'mapping'>, table: TablePlan): boolean {
  return table.class !== 'root' && (mayWait(plan, table) || followsQuarantine(plan, table));
}

/** By its own decisions, or because its key may come before its organization. */
function mayWait(plan: Pick<Plan, 'keys' | 'mapping'>, table: TablePlan): boolean {
  return mayQuarantine(table.rule) || (plan.mapping !== null && plan.keys[table.table] !== undefined);
}
