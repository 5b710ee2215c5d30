import type Stripe from 'stripe';
import { createKernel, type Kernel, type PoolLike } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { selectInvoice } from '../billing/queries/invoices.ts';
import type { Retries } from './once.ts';
import { pushInvoice } from './push-invoice.ts';
import { type Meter, pushUsageDay } from './push-usage.ts';
import { selectPending, selectUnpushed, selectUsageDays, settleUsage, upsertCustomer } from './queries.ts';

export type { Meter } from './push-usage.ts';

/** The part of Tenantry that pushing needs: the way across tenants, and where its tables are. */
export interface TenantryLike {
  withoutTenant<T>(reason: string, fn: (database: PoolLike) => Promise<T>): Promise<T>;
  readonly kernel: Pick<Kernel, 'schema'>;
}

export interface StripePushOptions {
  /** A client of the `stripe` package with your key. */
  readonly stripe: Stripe;
  /** Whether Stripe collects the money once an invoice is finalized there. Defaults to true. */
  readonly collect?: boolean;
  /** Send invoices by e-mail with so many days to pay, instead of charging the payment method on file. */
  readonly daysUntilDue?: number;
  /** The meters that usage is reported to, by metric: only for what Stripe itself shall price. */
  readonly meters?: Readonly<Record<string, Meter>>;
  /** How often a request is tried, how long it waits before the second try, and how long each may take. */
  readonly retries?: Partial<Retries>;
}

export interface Pushed {
  readonly pushed: readonly { readonly tenantId: string; readonly id: string }[];
  /** What could not be pushed; the run went on with the others. */
  readonly failed: readonly { readonly tenantId: string; readonly id: string; readonly error: unknown }[];
}

/** A day of a metric of which Stripe does not have all. Exact decimals. */
export interface UnpushedUsage {
  readonly tenantId: string;
  readonly metric: string;
  readonly dayStart: Date;
  /** What it has for sure. */
  readonly sent: string;
  /** What it lacks. Of what was on its way when a run was interrupted, only the next run knows whether it arrived. */
  readonly missing: string;
}

export interface StripePush {
  /** Names the customer at Stripe that an organization is; otherwise one is made with its first invoice. */
  linkCustomer(tenantId: string, customer: string): Promise<void>;
  /**
   * Tells Stripe of one invoice or credit note as it stands: made, finalized, voided or refunded there.
   *
   * @throws TNT_NOT_FOUND, TNT_STRIPE_REFUSED, TNT_STRIPE_UNAVAILABLE, TNT_STRIPE_MISMATCH
   */
  invoice(tenantId: string, idOrNumber: string): Promise<void>;
  /** All that Stripe does not have as it stands; of one organization, or of all. Interrupted, the next run goes on there. */
  invoices(tenantId?: string): Promise<Pushed>;
  /** Reports the usage of the last 34 days that Stripe does not have. Only while a subscription is billed, never of a trial. */
  usage(tenantId?: string): Promise<Pushed>;
  /** What `usage` would report now; nothing is sent. */
  unpushedUsage(tenantId?: string): Promise<readonly UnpushedUsage[]>;
  /** Decides by hand about usage of a day of which it is not known whether it arrived. @throws TNT_NOT_FOUND */
  settleUsage(day: { tenantId: string; metric: string; dayStart: Date; arrived: boolean }): Promise<void>;
}

/**
 * Pushes invoices and usage to Stripe so that nothing is charged twice: every request is written down before it is sent,
 * with its idempotency key, and whoever goes on after a crash sends the same one.
 *
 * @example
 * ```ts
 * import Stripe from 'stripe';
 * import { createStripePush } from 'tenantry/stripe';
 *
 * const push = createStripePush(t, { stripe: new Stripe(process.env.STRIPE_KEY ?? '') });
 * const { failed } = await push.invoices();
 * ```
 */
export function createStripePush(tenantry: TenantryLike, options: StripePushOptions): StripePush {
  const { stripe, collect = true, daysUntilDue, meters = {} } = options;
  const retries = { attempts: 8, delayMs: 250, timeoutMs: 30_000, ...options.retries };
  const settings = { stripe, retries, collect, daysUntilDue };
  const cross = <T>(reason: string, fn: (kernel: Kernel) => Promise<T>): Promise<T> =>
    tenantry.withoutTenant(reason, (database) => fn(createKernel(database, tenantry.kernel.schema)));
  const one = async (kernel: Kernel, tenantId: string, idOrNumber: string): Promise<void> => {
    const invoice = await selectInvoice(kernel, tenantId, idOrNumber);
    if (invoice === null) throw new TenantryError('TNT_NOT_FOUND', 'There is no such invoice.');
    await pushInvoice(kernel, settings, tenantId, invoice);
  };
  // Stripe takes events of the last 35 days.
  const daysOf = (kernel: Kernel, tenantId: string | undefined): ReturnType<typeof selectUsageDays> =>
    selectUsageDays(kernel, tenantId ?? null, Object.keys(meters), new Date(Date.now() - 34 * 24 * 3_600_000));
  return {
    linkCustomer: (tenantId, customer) =>
      cross('link a customer of Stripe', (kernel) => upsertCustomer(kernel, tenantId, customer)),
    invoice: (tenantId, idOrNumber) =>
      cross('push an invoice to Stripe', (kernel) => one(kernel, tenantId, idOrNumber)),
    invoices: (tenantId) =>
      cross('push invoices to Stripe', async (kernel) => {
        const [pushed, failed]: [Pushed['pushed'][number][], Pushed['failed'][number][]] = [[], []];
        for (let after: { issuedAt: Date; id: string } | null = null; ; ) {
          const due: Awaited<ReturnType<typeof selectUnpushed>> = await selectUnpushed(
            kernel,
            tenantId ?? null,
            after,
            100,
          );
          for (const { tenantId: of, id } of due) {
            await one(kernel, of, id).then(
              () => pushed.push({ tenantId: of, id }),
              (error: unknown) => failed.push({ tenantId: of, id, error }),
            );
          }
          after = due.at(-1) ?? null;
          if (after === null) return { pushed, failed };
        }
      }),
    unpushedUsage: (tenantId) =>
      cross('look at usage for Stripe', async (kernel) =>
        (await daysOf(kernel, tenantId)).map(({ tenantId: of, metric, dayStart, sent, missing }) => ({
          tenantId: of,
          metric,
          dayStart,
          sent,
          missing,
        })),
      ),
    usage: (tenantId) =>
      cross('push usage to Stripe', async (kernel) => {
        const [pushed, failed]: [Pushed['pushed'][number][], Pushed['failed'][number][]] = [[], []];
        for (const day of await daysOf(kernel, tenantId)) {
          const meter = meters[day.metric];
          if (meter === undefined) continue;
          const id = `${day.metric} ${day.dayStart.toISOString()}`;
          await pushUsageDay(kernel, stripe, day, meter, retries).then(
            () => pushed.push({ tenantId: day.tenantId, id }),
            (error: unknown) => failed.push({ tenantId: day.tenantId, id, error }),
          );
        }
        return { pushed, failed };
      }),
    settleUsage: ({ arrived, ...day }) =>
      cross('settle usage at Stripe', async (kernel) => {
        const found = await selectPending(kernel, day);
        if (found === undefined || found.pending === null) {
          throw new TenantryError('TNT_NOT_FOUND', 'Nothing of that day is on its way.');
        }
        await settleUsage(kernel, day, found.events, arrived);
      }),
  };
}
