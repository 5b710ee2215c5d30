import { currentTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { TenantryError } from '../../errors.ts';
import type { Crossing } from '../crossing.ts';
import { billingWrite } from './billing-error.ts';
import {
  type Act,
  type ActValues,
  act,
  changeAsOperator,
  endAsOperator,
  selectCurrentSubscription,
  startAsOperator,
  updateSpendCap,
} from './queries/subscriptions.ts';
import {
  type Cancel,
  type ChangePlan,
  cancelSchema,
  changePlanSchema,
  type OperatorCancel,
  type OperatorChangePlan,
  type OperatorSubscribe,
  operatorCancelSchema,
  operatorChangePlanSchema,
  operatorSubscribeSchema,
  type Subscribe,
  type Subscription,
  subscribeSchema,
} from './schema.ts';
import { priceSchema } from '../plans/schema.ts';

/** The subscription of the current organization. Changing it takes the permission billing.write. */
export interface Subscriptions {
  /** The newest one, as it stands now; null when there never was one. */
  subscription(): Promise<Subscription | null>;
  /**
   * Starts a subscription now, with the plan's trial when the organization has had none yet. Billing periods begin when
   * the trial ends: what is used before is never billed.
   *
   * @throws TNT_NOT_FOUND when the plan is not offered, TNT_CONFLICT when there is a subscription, TNT_INPUT_INVALID, TNT_FORBIDDEN
   * @example
   * ```ts
   * await t.billing.subscribe({ plan: 'support-pro', timeZone: 'Europe/Berlin' });
   * ```
   */
  subscribe(input: Subscribe): Promise<Subscription>;
  /**
   * Changes the plan, at once or at the end of the running period. The base fee and what is included are divided by time.
   *
   * @throws TNT_NOT_FOUND, TNT_INPUT_INVALID when the currency differs, TNT_FORBIDDEN
   */
  changePlan(input: ChangePlan): Promise<Subscription>;
  /** Ends the subscription, by default with the running period. @throws TNT_NOT_FOUND, TNT_FORBIDDEN */
  cancel(input?: Cancel): Promise<Subscription>;
  /** Takes a cancellation back that has not come into force. @throws TNT_NOT_FOUND, TNT_FORBIDDEN */
  resume(): Promise<Subscription>;
  /** From the end of the running period on: periods neither overlap nor leave a gap. @throws TNT_INPUT_INVALID, TNT_FORBIDDEN */
  setTimeZone(timeZone: string): Promise<Subscription>;
}

/** The same for the seller, who may also choose the instant and plans that are not offered. */
export interface OperatorSubscriptions {
  /** @throws TNT_NOT_FOUND, TNT_CONFLICT, TNT_INPUT_INVALID, TNT_OPERATOR_UNAVAILABLE */
  subscribe(input: OperatorSubscribe): Promise<Subscription>;
  /** An instant in the past is billed anew, as a correction. @throws TNT_NOT_FOUND, TNT_INPUT_INVALID, TNT_OPERATOR_UNAVAILABLE */
  changePlan(input: OperatorChangePlan): Promise<Subscription>;
  /** @throws TNT_NOT_FOUND, TNT_INPUT_INVALID, TNT_OPERATOR_UNAVAILABLE */
  cancel(input?: OperatorCancel): Promise<Subscription>;
  /** The most that usage costs in one period, a decimal of the main unit; null: no cap. @throws TNT_NOT_FOUND, TNT_INPUT_INVALID */
  setSpendCap(cap: string | null): Promise<void>;
}

export function createSubscriptions(kernel: Kernel): Subscriptions {
  const tenant = (): string => currentTenant().tenantId;
  const change = async (name: Act, values: ActValues): Promise<Subscription> => {
    const tenantId = tenant();
    await billingWrite('subscription', name === 'start' ? 'create' : 'update', () => act(kernel, name, values));
    return existing(await selectCurrentSubscription(kernel, tenantId));
  };
  return {
    subscription: () => selectCurrentSubscription(kernel, tenant()),
    subscribe(input) {
      const { plan, version, timeZone, align } = parseInput(subscribeSchema, input);
      return change('start', { plan, version, timeZone, when: align });
    },
    changePlan(input) {
      return change('change', parseInput(changePlanSchema, input));
    },
    cancel(input = {}) {
      return change('cancel', parseInput(cancelSchema, input));
    },
    resume: () => change('resume', {}),
    setTimeZone: (timeZone) => change('zone', { timeZone }),
  };
}

export function createOperatorSubscriptions(crossing: Crossing): OperatorSubscriptions {
  const change = (reason: string, what: 'create' | 'update', fn: (db: Kernel, tenantId: string) => Promise<void>) => {
    const { tenantId } = currentTenant();
    return crossing(reason, async (db) => {
      await billingWrite('subscription', what, () => fn(db, tenantId));
      return existing(await selectCurrentSubscription(db, tenantId));
    });
  };
  return {
    async subscribe(input) {
      const values = parseInput(operatorSubscribeSchema, input);
      return change(`subscribe to ${values.plan}`, 'create', (db, tenantId) => startAsOperator(db, tenantId, values));
    },
    async changePlan(input) {
      const values = parseInput(operatorChangePlanSchema, input);
      return change(`change the plan to ${values.plan}`, 'update', (db, tenantId) =>
        changeAsOperator(db, tenantId, values),
      );
    },
    async cancel(input = {}) {
      const values = parseInput(operatorCancelSchema, input);
      return change('cancel a subscription', 'update', (db, tenantId) => endAsOperator(db, tenantId, values));
    },
    async setSpendCap(cap) {
      const value = cap === null ? null : parseInput(priceSchema, cap);
      await change('set a spending cap', 'update', async (db, tenantId) => {
        if (await updateSpendCap(db, tenantId, value)) return;
        throw new TenantryError('TNT_NOT_FOUND', 'The organization has no subscription, or it has ended.');
      });
    },
  };
}

function existing(subscription: Subscription | null): Subscription {
  if (subscription === null) throw new TenantryError('TNT_NOT_FOUND', 'The organization has no subscription.');
  return subscription;
}
