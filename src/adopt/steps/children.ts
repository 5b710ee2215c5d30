import { decidingKeys } from '../decisions/fill-body.ts';
import { mayBeWithout } from '../decisions/follows.ts';
import { isRuled } from '../decisions/rule.ts';
import { groupBy } from '../graph.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** Keys of other tables by which their rows get the tenant of this table's rows. `judged`: by the decisions for that table. */
export function keysFromChildren(plan: Plan, table: TableName): readonly ChildKey[] {
  const known = byParent.get(plan.tables) ?? groupBy(allKeys(plan), ({ key }) => key.parent);
  byParent.set(plan.tables, known);
  return known.get(table) ?? [];
}

interface ChildKey {
  readonly child: TablePlan;
  readonly key: ForeignKey;
  readonly judged: boolean;
}

const byParent = new WeakMap<readonly TablePlan[], ReadonlyMap<TableName, readonly ChildKey[]>>();

function allKeys(plan: Plan): ChildKey[] {
  return plan.tables.flatMap((child) => {
    const judged = child.via.length > 0 && (isRuled(child.rule) || mayBeWithout(plan, child));
    const keys = new Map(
      [...child.via, ...decidingKeys(child)].map((key) => [`${key.name} ${key.when?.value ?? ''}`, key]),
    );
    return [...keys.values()]
      .filter((key) => key.parent !== child.table || child.via.includes(key))
      .map((key) => ({ child, key, judged }));
  });
}
