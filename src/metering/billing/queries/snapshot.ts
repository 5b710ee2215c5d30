import type { Kernel } from '../../../database/kernel.ts';
import { metricsJson } from '../../plans/queries.ts';
import type { Booked, BillingPeriod, CreditBalance, CustomPrice, Interval, PlanTerms } from '../types.ts';

/** Milliseconds since 1970, as a number. */
export const millis = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

/** A subscription as an invoice needs it: instants in milliseconds. */
export interface SubscriptionRow {
  readonly tenantId: string;
  readonly id: string;
  readonly currency: string;
  readonly timeZone: string;
  readonly startsAt: number;
  readonly activatesAt: number;
  readonly endsAt: number | null;
}

const subscriptionColumns = `s.tenant_id as "tenantId", s.id, s.currency, s.time_zone as "timeZone", ${millis('s.starts_at')} as "startsAt",
  ${millis('coalesce(s.trial_ends_at, s.starts_at)')} as "activatesAt", ${millis('s.ends_at')} as "endsAt"`;

/** The subscription of an organization at an instant: the newest that has begun. */
export async function selectSubscription(
  kernel: Kernel,
  tenantId: string,
  subscriptionId?: string,
): Promise<SubscriptionRow | undefined> {
  const [row] = await kernel.query<SubscriptionRow & Record<string, unknown>>(
    `select ${subscriptionColumns} from tenantry.subscriptions s
     where s.tenant_id = $1::uuid and ($2::uuid is null or s.id = $2::uuid) order by s.starts_at desc, s.id desc limit 1`,
    [tenantId, subscriptionId ?? null],
  );
  return row;
}

/** Number of the last billing period of a subscription that ends; null while it goes on. -1: it never began to be billed. */
export async function selectLastPeriod(kernel: Kernel, { tenantId, id }: SubscriptionRow): Promise<number | null> {
  const [row] = await kernel.query<{ last: number | null }>(
    `select case when s.ends_at is null then null
       when s.ends_at <= coalesce(s.trial_ends_at, s.starts_at) then -1
       else tenantry.billing_period(s.tenant_id, s.id, s.ends_at - interval '1 millisecond') end as last
     from tenantry.subscriptions s where s.tenant_id = $1::uuid and s.id = $2::uuid`,
    [tenantId, id],
  );
  return row?.last ?? null;
}

/** The oldest period that an invoice rates again. */
export async function selectOldestOpenPeriod(
  kernel: Kernel,
  { tenantId, id }: SubscriptionRow,
  closing: number,
  asOperator: boolean,
): Promise<number> {
  const [row] = await kernel.query<{ oldest: number }>(
    asOperator
      ? 'select tenantry.oldest_open_period($3::uuid, $1::uuid, $2::int) as oldest'
      : 'select tenantry.billed_since($1::uuid, $2::int) as oldest',
    [id, closing, ...(asOperator ? [tenantId] : [])],
  );
  return row?.oldest ?? 0;
}

export async function selectPeriods(
  kernel: Kernel,
  tenantId: string,
  id: string,
  from: number,
  to: number,
): Promise<BillingPeriod[]> {
  return kernel.query<BillingPeriod & Record<string, unknown>>(
    `select n as index, ${millis('tenantry.billing_edge($1::uuid, $2::uuid, n)')} as start,
       ${millis('tenantry.billing_edge($1::uuid, $2::uuid, n + 1)')} as end
     from generate_series($3::int, $4::int) n order by n`,
    [tenantId, id, from, to],
  );
}

export async function selectPhases(
  kernel: Kernel,
  tenantId: string,
  id: string,
): Promise<{ startsAt: number; plan: PlanTerms }[]> {
  return kernel.query<{ startsAt: number; plan: PlanTerms }>(
    `select ${millis('f.starts_at')} as "startsAt", case when f.tenant_plan_id is null
         then jsonb_build_object('key', g.key, 'version', g.version, 'name', g.name, 'basePrice', trim_scale(g.base_price)::text,
           'baseTiming', g.base_timing, 'metrics', ${metricsJson('plan_metrics', 'm.plan_key = g.key and m.plan_version = g.version')})
         else jsonb_build_object('key', o.key, 'version', o.version, 'name', o.name, 'basePrice', trim_scale(o.base_price)::text,
           'baseTiming', o.base_timing, 'metrics', ${metricsJson('tenant_plan_metrics', 'm.tenant_id = o.tenant_id and m.plan_id = o.id')})
         end as plan
     from tenantry.subscription_phases f
     left join tenantry.plans g on g.key = f.plan_key and g.version = f.plan_version
     left join tenantry.tenant_plans o on o.tenant_id = f.tenant_id and o.id = f.tenant_plan_id
     where f.tenant_id = $1::uuid and f.subscription_id = $2::uuid order by f.starts_at, f.id`,
    [tenantId, id],
  );
}

export async function selectCustomPrices(kernel: Kernel, tenantId: string): Promise<CustomPrice[]> {
  return kernel.query<CustomPrice & Record<string, unknown>>(
    `select c.id, c.metric, ${millis('c.effective_from')} as from, ${millis('c.effective_to')} as to,
       trim_scale(c.base_price)::text as "basePrice",
       case when c.metric is not null then jsonb_build_object('period', c.period, 'included', trim_scale(c.included)::text, 'hard', c.hard,
         'model', c.model, 'tiers', c.tiers, 'packageSize', trim_scale(c.package_size)::text, 'cap', trim_scale(c.cap)::text) end as terms
     from tenantry.custom_prices c where c.tenant_id = $1::uuid order by c.created_at, c.id`,
    [tenantId],
  );
}

export async function selectBooked(kernel: Kernel, tenantId: string, id: string, from: number): Promise<Booked[]> {
  return kernel.query<Booked & Record<string, unknown>>(
    `select l.charge, l.period_index as "periodIndex", sum(l.amount)::float8 as amount, sum(l.quantity)::text as quantity
     from tenantry.invoices i join tenantry.invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id
     where i.tenant_id = $1::uuid and i.subscription_id = $2::uuid and i.kind = 'invoice' and i.status = 'final'
       and l.period_index >= $3::int
     group by l.charge, l.period_index order by l.period_index, l.charge`,
    [tenantId, id, from],
  );
}

export async function selectCredits(kernel: Kernel, tenantId: string, currency: string): Promise<CreditBalance[]> {
  return kernel.query<CreditBalance & Record<string, unknown>>(
    `select c.id, (c.amount + coalesce(e.used, 0))::float8 as remaining, c.priority, ${millis('c.expires_at')} as "expiresAt",
       ${millis('c.created_at')} as "createdAt", c.reason
     from tenantry.credits c left join lateral (
       select sum(x.amount) as used from tenantry.credit_entries x where x.tenant_id = c.tenant_id and x.credit_id = c.id) e on true
     where c.tenant_id = $1::uuid and c.currency = $2::text and c.voided_at is null and c.amount + coalesce(e.used, 0) > 0
     order by c.created_at, c.id`,
    [tenantId, currency],
  );
}

export async function selectUsage(
  kernel: Kernel,
  tenantId: string,
  ranges: readonly { metric: string; range: Interval }[],
  asOperator: boolean,
): Promise<(string | null)[]> {
  if (ranges.length === 0) return [];
  const source = asOperator
    ? 'tenantry.usage_of_ranges($4::uuid, $1::text[], $2::timestamptz[], $3::timestamptz[])'
    : 'tenantry.billed_usage($1::text[], $2::timestamptz[], $3::timestamptz[])';
  const rows = await kernel.query<{ value: string | null }>(
    `select u.value::text as value from ${source} u order by u.place`,
    [
      ranges.map(({ metric }) => metric),
      ranges.map(({ range }) => new Date(range.start)),
      ranges.map(({ range }) => new Date(range.end)),
      ...(asOperator ? [tenantId] : []),
    ],
  );
  return rows.map(({ value }) => value);
}

export async function selectSpendCaps(
  kernel: Kernel,
  tenantId: string,
  id: string,
): Promise<{ fromPeriod: number; cap: string | null }[]> {
  return kernel.query<{ fromPeriod: number; cap: string | null }>(
    `select c.from_period as "fromPeriod", trim_scale(c.cap)::text as cap from tenantry.subscription_caps c
     where c.tenant_id = $1::uuid and c.subscription_id = $2::uuid order by c.from_period`,
    [tenantId, id],
  );
}
