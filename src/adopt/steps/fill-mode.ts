import { mayBeWithout } from '../decisions/follows.ts';
import { isRuled } from '../decisions/rule.ts';
import { isByUse } from '../decisions/use.ts';
import type { TriggerFacts } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** How the update trigger stands to the backfill: `beside` and `guarded` let its own updates pass by, because they carry the value. */
export type FillMode = 'beside' | 'guarded' | 'alone';

/**
 * `beside`: after the row, and for rows whose key changes alone. A BEFORE trigger has the server lock each row of every update
 * before it asks the trigger's condition, a record of the log for each row of the backfill. Rows that the application changes before the
 * backfill comes to them stay empty; a second pass fills them, behind the trigger that comes in its place.
 *
 * Only where the value hangs on the row's own keys, the row can be found again, and no trigger of the application would hear of
 * the second update.
 */
export function fillMode(plan: Plan, table: TablePlan, triggers: readonly TriggerFacts[]): FillMode {
  const plain =
    table.class !== 'root' &&
    table.via.length > 0 &&
    table.via.every((key) => key.parent !== table.table && key.confirmed !== true) &&
    plan.keys[table.table] === undefined &&
    !isByUse(table) &&
    !isRuled(table.rule) &&
    !mayBeWithout(plan, table);
  const whole = table.leaves.length === 1 && table.leaves[0] === table.table;
  const alone = whole && !table.inherited && table.inherits.length === 0;
  const heard = triggers.some((trigger) => trigger.table === table.table && trigger.events.includes('update'));
  return plain && alone && !heard && table.primaryKey.length > 0 ? 'beside' : 'guarded';
}
