import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { usageRanges } from './segments.ts';
import {
  selectBooked,
  selectCredits,
  selectCustomPrices,
  selectLastPeriod,
  selectOldestOpenPeriod,
  selectPeriods,
  selectPhases,
  selectSpendCaps,
  selectUsage,
  type SubscriptionRow,
} from './queries/snapshot.ts';
import { type BillingSnapshot, usageKey } from './types.ts';

/**
 * Reads everything that an invoice depends on. The transaction is repeatable read: all of it is one snapshot.
 *
 * @param closing - number of the period to close; -1 is the activation
 * @throws TNT_NOT_FOUND when the subscription has no such period
 */
export async function readSnapshot(
  tx: Kernel,
  subscription: SubscriptionRow,
  closing: number,
  asOperator: boolean,
): Promise<BillingSnapshot> {
  const { tenantId, id } = subscription;
  const last = await selectLastPeriod(tx, subscription);
  if (!Number.isInteger(closing) || closing < -1 || (last !== null && closing > last)) {
    throw new TenantryError('TNT_NOT_FOUND', 'The subscription has no such billing period.', {
      details: { period: closing, first: 0, ...(last === null ? {} : { last }) },
    });
  }
  const oldest = await selectOldestOpenPeriod(tx, subscription, closing, asOperator);
  const snapshot = {
    currency: subscription.currency,
    timeZone: subscription.timeZone,
    activatesAt: subscription.activatesAt,
    endsAt: subscription.endsAt,
    spendCaps: await selectSpendCaps(tx, tenantId, id),
    closing,
    periods: await selectPeriods(tx, tenantId, id, oldest, closing + 1),
    phases: await selectPhases(tx, tenantId, id),
    customPrices: await selectCustomPrices(tx, tenantId),
    booked: await selectBooked(tx, tenantId, id, oldest),
    credits: await selectCredits(tx, tenantId, subscription.currency),
  };
  const ranges = usageRanges(snapshot);
  const values = await selectUsage(tx, tenantId, ranges, asOperator);
  return {
    ...snapshot,
    usage: new Map(ranges.map(({ metric, range }, i) => [usageKey(metric, range), values[i] ?? '0'])),
  };
}
