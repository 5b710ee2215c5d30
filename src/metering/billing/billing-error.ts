import { sqlStateOf } from '../../database/database-error.ts';
import { writeError } from '../../directory/write-error.ts';
import { type ErrorCode, TenantryError } from '../../errors.ts';

/** What a rule of the database says about a subscription or an invoice: code, message, next step. */
const rules: Readonly<Record<string, readonly [code: ErrorCode, message: string, hint: string]>> = {
  plan_unknown: [
    'TNT_NOT_FOUND',
    'plan: there is no such plan, or organizations cannot choose it.',
    'List the plans that can be chosen with: t.plans.list()',
  ],
  subscription_missing: [
    'TNT_NOT_FOUND',
    'The organization has no subscription, or it has ended.',
    'Start one with: t.billing.subscribe({ plan })',
  ],
  subscriptions_open_key: [
    'TNT_CONFLICT',
    'The organization has a subscription already.',
    'Change it with: t.billing.changePlan({ plan }) — or cancel it first.',
  ],
  subscriptions_time_zone: [
    'TNT_INPUT_INVALID',
    'timeZone: is no time zone that the database knows.',
    'Pass a name of the IANA database, such as Europe/Berlin.',
  ],
  subscriptions_currency: [
    'TNT_INPUT_INVALID',
    'plan: has another currency than the subscription.',
    'Choose a plan in the same currency, or cancel and subscribe anew.',
  ],
  subscription_phases_before_start: [
    'TNT_INPUT_INVALID',
    'at: lies before the start of the subscription.',
    'Pass an instant on or after its start.',
  ],
  subscriptions_ends_check: [
    'TNT_INPUT_INVALID',
    'at: lies before the start of the subscription.',
    'Pass an instant on or after its start.',
  ],
  plans_subscribed: [
    'TNT_CONFLICT',
    'A plan that was subscribed to does not change its price.',
    'Publish its next version, or set a custom price with a date.',
  ],
};

/** Runs a write of billing and turns what the database refuses into our error. */
export async function billingWrite<T>(what: string, operation: 'create' | 'update', fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    const rule = rules[constraintOf(error) ?? ''];
    if (rule === undefined) throw writeError(error, what, operation);
    const [code, message, hint] = rule;
    throw new TenantryError(code, message, { hint, cause: error });
  }
}

/** Whether the same transaction may succeed when it is run again: it lost a race, and nothing of it was kept. */
export const lostRace = (error: unknown): boolean =>
  ['40001', '40P01'].includes(sqlStateOf(error) ?? '') || constraintOf(error) === 'invoices_period_key';

function constraintOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('constraint' in error)) return undefined;
  return typeof error.constraint === 'string' ? error.constraint : undefined;
}
