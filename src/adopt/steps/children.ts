import { decidingKeys } from '../decisions/fill-body.ts';
import { mayBeWithout } from '../decisions/follows.ts';
import { isRuled } from '../decisions/rule.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** Keys of other tables by which their rows get the tenant of this table's rows. `judged`: by the decisions for that table. */
export function keysFromChildren(
  plan: Plan,
  table: TableName,
): { child: TablePlan; key: ForeignKey; judged: boolean }[] {
  return plan.tables.flatMap((child) => {
    const judged = child.via.length > 0 && (isRuled(child.rule) || mayBeWithout(plan, child));
    const keys = new Map(
      [...child.via, ...decidingKeys(child)].map((key) => [`${key.name} ${key.when?.value ?? ''}`, key]),
    );
    return [...keys.values()]
      .filter((key) => key.parent === table && (child.table !== table || child.via.includes(key)))
      .map((key) => ({ child, key, judged }));
  });
}
