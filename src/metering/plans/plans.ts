import { currentContext, currentTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import type { Crossing } from '../crossing.ts';
import {
  approveOwnPlan,
  deleteOwnPlan,
  insertOwnPlan,
  insertPlan,
  selectPlan,
  selectPlans,
  updateOffered,
} from './queries.ts';
import {
  type Plan,
  type PlanDefine,
  type PlanPublish,
  planDefine,
  planKeySchema,
  planPublish,
  planVersionSchema,
} from './schema.ts';

export interface Plans {
  /** What the current organization can choose from: its own plans, and the newest version of each that is offered to all. */
  list(): Promise<Plan[]>;
  /** The organization's own plan of that key, else the global one; the newest version unless one is named. */
  get(key: string, version?: number): Promise<Plan | null>;
  /**
   * Defines the next version of a plan of the organization's own. Takes billing.write. It can be subscribed to once an
   * operator approved it: nobody sets what they pay.
   *
   * @throws TNT_INPUT_INVALID naming the field, TNT_FORBIDDEN, TNT_CONFLICT when two define the same key at once
   * @example
   * ```ts
   * await t.plans.define({
   *   key: 'acme-2026',
   *   tier: 'enterprise',
   *   name: 'Acme 2026',
   *   currency: 'USD',
   *   basePrice: '1500',
   *   metrics: { conversations: { included: 100_000, model: 'graduated', tiers: [{ upTo: null, unit: '0.012' }] } },
   * });
   * ```
   */
  define(input: PlanDefine): Promise<Plan>;
  /** Takes back a plan of the organization's own that was not approved yet; false when there is none. @throws TNT_FORBIDDEN */
  remove(key: string, version: number): Promise<boolean>;
  /** What the seller does, on the operator's connection; each leaves its entry in the operator log. */
  readonly operator: {
    /** Publishes the next version of a global plan. @throws TNT_INPUT_INVALID, TNT_OPERATOR_UNAVAILABLE */
    publish(input: PlanPublish): Promise<Plan>;
    /** Offers a version to organizations, or no longer. @throws TNT_NOT_FOUND, TNT_OPERATOR_UNAVAILABLE */
    offer(key: string, version: number, offered: boolean): Promise<void>;
    /** Lets the current organization subscribe to its own plan. @throws TNT_NOT_FOUND, TNT_OPERATOR_UNAVAILABLE */
    approve(key: string, version: number, options?: { readonly trialDays?: number }): Promise<void>;
  };
}

export function createPlans(kernel: Kernel, crossing: Crossing): Plans {
  const tenantOf = (): string | null => {
    const context = currentContext();
    return context?.kind === 'tenant' ? context.tenantId : null;
  };
  return {
    list: () => selectPlans(kernel, tenantOf()),
    async get(key, version) {
      if (!planKeySchema.safeParse(key).success) return null;
      return selectPlan(
        kernel,
        tenantOf(),
        key,
        version === undefined ? undefined : parseInput(planVersionSchema, version),
      );
    },
    async define(input) {
      const plan = parseInput(planDefine, input);
      const { tenantId } = currentTenant();
      return write('plan', 'create', () =>
        kernel.transaction(async (tx) =>
          stored(await selectPlan(tx, tenantId, plan.key, await insertOwnPlan(tx, tenantId, plan))),
        ),
      );
    },
    async remove(key, version) {
      const { tenantId } = currentTenant();
      if (!planKeySchema.safeParse(key).success) return false;
      return write('plan', 'delete', () =>
        deleteOwnPlan(kernel, tenantId, key, parseInput(planVersionSchema, version)),
      );
    },
    operator: {
      async publish(input) {
        const plan = parseInput(planPublish, input);
        return crossing(`publish the plan ${plan.key}`, (db) =>
          write('plan', 'create', () =>
            db.transaction(async (tx) => stored(await selectPlan(tx, null, plan.key, await insertPlan(tx, plan)))),
          ),
        );
      },
      async offer(key, version, offered) {
        const [named, number] = [parseInput(planKeySchema, key), parseInput(planVersionSchema, version)];
        const changed = await crossing(`offer the plan ${named}`, (db) => updateOffered(db, named, number, offered));
        if (!changed) throw planUnknown();
      },
      async approve(key, version, { trialDays = 0 } = {}) {
        const [named, number] = [parseInput(planKeySchema, key), parseInput(planVersionSchema, version)];
        const { tenantId } = currentTenant();
        const approved = await crossing(`approve the plan ${named}`, (db) =>
          write('plan', 'update', () => approveOwnPlan(db, tenantId, named, number, trialDays)),
        );
        if (!approved) throw planUnknown();
      },
    },
  };
}

const planUnknown = (): TenantryError =>
  new TenantryError('TNT_NOT_FOUND', 'There is no such plan, or not in this version.');

function stored(plan: Plan | null): Plan {
  if (plan === null) throw new TenantryError('TNT_INTERNAL', 'The plan was not stored.');
  return plan;
}
