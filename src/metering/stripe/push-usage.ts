import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type Stripe from 'stripe';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { failureOf, refusal, unavailable } from './failure.ts';
import { lookSettings, type Retries, reading, waitMs } from './once.ts';
import { claimUsage, settleUsage, type UsageDay } from './queries.ts';

/** The meter at Stripe that a metric is reported to. */
export interface Meter {
  readonly eventName: string;
  /** Lets a push that was interrupted for more than a day find out by itself what arrived. */
  readonly meterId?: string;
}

/** Stripe takes a repeated identifier for the same event for at least 24 hours. */
const identifierLifetimeMs = 23 * 3_600_000;

/**
 * Tells a meter what is new of one day: the difference to what it was told before. The difference and its identifier are
 * written down before they are sent; a retry sends the same, and Stripe counts an identifier once.
 *
 * @throws TNT_STRIPE_REFUSED, TNT_STRIPE_UNAVAILABLE, TNT_STRIPE_UNCERTAIN
 */
export async function pushUsageDay(
  kernel: Kernel,
  stripe: Stripe,
  day: UsageDay,
  meter: Meter,
  retries: Retries,
): Promise<void> {
  for (;;) {
    const claim = await claimUsage(kernel, day);
    if (claim === undefined || claim.pending === null || claim.pendingSince === null) return;
    const { pending, pendingSince, events } = claim;
    if (Date.now() - pendingSince.getTime() > identifierLifetimeMs) {
      const arrived = await hasArrived(stripe, day, meter, claim.sent, pending, retries);
      await settleUsage(kernel, day, events, arrived);
      continue;
    }
    await send(kernel, stripe, day, meter, { value: pending, at: pendingSince, events }, retries);
  }
}

async function send(
  kernel: Kernel,
  stripe: Stripe,
  day: UsageDay,
  { eventName }: Meter,
  { value, at, events }: { value: string; at: Date; events: number },
  retries: Retries,
): Promise<void> {
  const identifier = createHash('sha256')
    .update(JSON.stringify([day.tenantId, day.metric, day.dayStart.getTime(), events]))
    .digest('hex');
  // Inside the day, and never ahead of the clock.
  const timestamp = Math.floor(Math.min(day.dayEnd.getTime() - 1000, at.getTime()) / 1000);
  let key = 0;
  for (let tries = 1; ; tries += 1) {
    try {
      await stripe.billing.meterEvents.create(
        { event_name: eventName, identifier, timestamp, payload: { stripe_customer_id: day.customer, value } },
        { idempotencyKey: `tenantry-${identifier}-${key}`, maxNetworkRetries: 0, timeout: retries.timeoutMs },
      );
      return await settleUsage(kernel, day, events, true);
    } catch (error) {
      const { kind, retryAfterMs } = failureOf(error);
      if (kind === 'duplicate') return settleUsage(kernel, day, events, true);
      if (kind === 'refused') {
        await settleUsage(kernel, day, events, false);
        throw refusal(error, `usage of ${day.metric}`);
      }
      if (tries >= retries.attempts) throw unavailable(error, `usage of ${day.metric}`);
      // A saved bad answer stays bad for its key. The identifier still makes it one event.
      if (kind === 'unknown') key += 1;
      await sleep(retryAfterMs ?? waitMs(retries, tries));
    }
  }
}

/** Whether the meter has what was on its way, by what it says of the day. */
async function hasArrived(
  stripe: Stripe,
  day: UsageDay,
  { meterId }: Meter,
  sent: string,
  pending: string,
  retries: Retries,
): Promise<boolean> {
  const minute = (at: Date, round: (n: number) => number): number => round(at.getTime() / 60_000) * 60;
  if (meterId !== undefined) {
    const counted = await reading('the sums of a meter', retries, async () => {
      let sum = 0;
      const summaries = stripe.billing.meters.listEventSummaries(
        meterId,
        {
          customer: day.customer,
          start_time: minute(day.dayStart, Math.floor),
          end_time: minute(day.dayEnd, Math.ceil),
        },
        lookSettings(retries),
      );
      for await (const { aggregated_value } of summaries) sum += aggregated_value;
      return sum;
    });
    const near = (value: number): boolean => Math.abs(counted - value) < 1e-6 * Math.max(1, Math.abs(value));
    if (near(Number(sent) + Number(pending))) return true;
    if (near(Number(sent))) return false;
  }
  throw new TenantryError(
    'TNT_STRIPE_UNCERTAIN',
    `Whether Stripe counted ${pending} of ${day.metric} for the day of ${day.dayStart.toISOString()} is not known any more.`,
    {
      details: { tenantId: day.tenantId, metric: day.metric, dayStart: day.dayStart, sent, pending },
      hint:
        meterId === undefined
          ? 'Name the meterId of the metric, so that its sums can be read, and push again.'
          : 'Look at the meter’s events of that day at Stripe, then settle it with: push.settleUsage(…)',
    },
  );
}
