import type { Kernel } from '../../../database/kernel.ts';
import { termsValues } from '../../plans/queries.ts';
import type { OwnPrice, Subscription } from '../schema.ts';
import { millis } from './snapshot.ts';

interface Row extends Record<string, unknown> {
  id: string;
  status: Subscription['status'];
  plan: Subscription['plan'];
  next: { plan: string; version: number; at: number } | null;
  period: { index: number; start: number; end: number } | null;
}

const planOf = (alias: string): string => `
  left join tenantry.plans ${alias}g on ${alias}g.key = ${alias}.plan_key and ${alias}g.version = ${alias}.plan_version
  left join tenantry.tenant_plans ${alias}o on ${alias}o.tenant_id = ${alias}.tenant_id and ${alias}o.id = ${alias}.tenant_plan_id`;

/** The newest subscription of an organization, as it stands now. */
export async function selectCurrentSubscription(kernel: Kernel, tenantId: string): Promise<Subscription | null> {
  const [row] = await kernel.query<Row>(
    `select s.id, s.currency, s.time_zone as "timeZone", s.starts_at as "startsAt", s.trial_ends_at as "trialEndsAt",
       s.canceled_at as "canceledAt", s.ends_at as "endsAt", (select trim_scale(k.cap)::text from tenantry.subscription_caps k
         where k.tenant_id = s.tenant_id and k.subscription_id = s.id order by k.from_period desc limit 1) as "spendCap",
       case when s.ends_at <= t.now then 'canceled' when s.starts_at > t.now then 'scheduled'
         when s.trial_ends_at > t.now then 'trialing' else 'active' end as status,
       (select jsonb_build_object('key', coalesce(fg.key, fo.key), 'version', coalesce(fg.version, fo.version),
           'name', coalesce(fg.name, fo.name), 'tier', coalesce(fg.tier, fo.tier))
         from tenantry.subscription_phases f ${planOf('f')}
         where f.tenant_id = s.tenant_id and f.subscription_id = s.id and f.starts_at <= greatest(t.now, s.starts_at)
         order by f.starts_at desc, f.id desc limit 1) as plan,
       (select jsonb_build_object('plan', coalesce(fg.key, fo.key), 'version', coalesce(fg.version, fo.version), 'at', ${millis('f.starts_at')})
         from tenantry.subscription_phases f ${planOf('f')}
         where f.tenant_id = s.tenant_id and f.subscription_id = s.id and f.starts_at > greatest(t.now, s.starts_at)
         order by f.starts_at, f.id desc limit 1) as next,
       case when coalesce(s.trial_ends_at, s.starts_at) <= t.now and (s.ends_at is null or s.ends_at > t.now) then
         (select jsonb_build_object('index', n, 'start', ${millis('tenantry.billing_edge(s.tenant_id, s.id, n)')},
            'end', ${millis('tenantry.billing_edge(s.tenant_id, s.id, n + 1)')})
          from tenantry.billing_period(s.tenant_id, s.id, t.now) n) end as period
     from tenantry.subscriptions s cross join (select statement_timestamp() as now) t
     where s.tenant_id = $1::uuid order by s.starts_at desc, s.id desc limit 1`,
    [tenantId],
  );
  if (row === undefined) return null;
  const { next, period } = row;
  return {
    ...(row as unknown as Subscription),
    next: next === null ? null : { ...next, at: new Date(next.at) },
    period: period === null ? null : { index: period.index, start: new Date(period.start), end: new Date(period.end) },
  };
}

export type Act = 'start' | 'change' | 'cancel' | 'resume' | 'zone';
export interface ActValues {
  readonly plan?: string | undefined;
  readonly version?: number | undefined;
  readonly when?: string | undefined;
  readonly timeZone?: string | undefined;
  readonly requestKey?: string | undefined;
}

/** What a member does to the subscription of the context's organization. */
export async function act(kernel: Kernel, name: Act, values: ActValues): Promise<void> {
  await kernel.query('select tenantry.subscription_act($1::text, $2::text, $3::int, $4::text, $5::text, $6::text)', [
    name,
    values.plan ?? null,
    values.version ?? null,
    values.when ?? null,
    values.timeZone ?? null,
    values.requestKey ?? null,
  ]);
}

export async function startAsOperator(
  kernel: Kernel,
  tenantId: string,
  values: ActValues & { startsAt?: Date | undefined; align: string; trialDays?: number | undefined },
): Promise<void> {
  await kernel.query(
    `select tenantry.start_subscription($1::uuid, $2::text, $3::int, $4::text, $5::timestamptz, $6::text, $7::int, true)`,
    [
      tenantId,
      values.plan,
      values.version ?? null,
      values.timeZone ?? null,
      values.startsAt ?? null,
      values.align,
      values.trialDays ?? null,
    ],
  );
}

export async function changeAsOperator(
  kernel: Kernel,
  tenantId: string,
  values: ActValues & { at?: Date | undefined },
): Promise<void> {
  await kernel.query(
    'select tenantry.change_subscription_plan($1::uuid, $2::text, $3::int, $4::text, $5::timestamptz, $6::text, true)',
    [tenantId, values.plan, values.version ?? null, values.when ?? null, values.at ?? null, values.requestKey ?? null],
  );
}

export async function endAsOperator(
  kernel: Kernel,
  tenantId: string,
  { when, at }: { when: string; at?: Date | undefined },
): Promise<void> {
  await kernel.query('select tenantry.end_subscription($1::uuid, $2::text, $3::timestamptz)', [
    tenantId,
    when,
    at ?? null,
  ]);
}

/** From the running period on: what was billed before stays as it was capped then. */
export async function updateSpendCap(kernel: Kernel, tenantId: string, cap: string | null): Promise<boolean> {
  const rows = await kernel.query(
    `insert into tenantry.subscription_caps as k (tenant_id, subscription_id, from_period, cap)
     select s.tenant_id, s.id, greatest(0, tenantry.billing_period(s.tenant_id, s.id, statement_timestamp())), $2::numeric
     from tenantry.subscriptions s
     where s.tenant_id = $1::uuid and (s.ends_at is null or s.ends_at > statement_timestamp())
     on conflict (tenant_id, subscription_id, from_period) do update set cap = excluded.cap returning 1`,
    [tenantId, cap],
  );
  return rows.length > 0;
}

const priceColumns = `c.id, c.metric, c.effective_from as "effectiveFrom", c.effective_to as "effectiveTo",
  trim_scale(c.base_price)::text as "basePrice", case when c.metric is not null then jsonb_build_object('period', c.period,
    'included', trim_scale(c.included)::text, 'hard', c.hard, 'model', c.model, 'tiers', c.tiers,
    'packageSize', trim_scale(c.package_size)::text, 'cap', trim_scale(c.cap)::text) end as terms, c.reason, c.created_at as "createdAt"`;

export async function listPrices(kernel: Kernel, tenantId: string): Promise<OwnPrice[]> {
  return kernel.query<OwnPrice & Record<string, unknown>>(
    `select ${priceColumns} from tenantry.custom_prices c where c.tenant_id = $1::uuid order by c.created_at, c.id`,
    [tenantId],
  );
}

export interface NewPrice {
  readonly metric: string | null;
  readonly basePrice: string | null;
  readonly terms: OwnPrice['terms'];
  readonly effectiveFrom: Date;
  readonly effectiveTo?: Date | undefined;
  readonly reason?: string | undefined;
}

export async function insertPrice(kernel: Kernel, tenantId: string, price: NewPrice): Promise<OwnPrice | undefined> {
  const [row] = await kernel.query<OwnPrice & Record<string, unknown>>(
    `insert into tenantry.custom_prices as c (tenant_id, metric, base_price, effective_from, effective_to, reason, period, included, hard,
       model, tiers, package_size, cap)
     values ($1::uuid, $2::text, $3::numeric, date_trunc('milliseconds', $4::timestamptz), date_trunc('milliseconds', $5::timestamptz), $6::text,
       $7::text, $8::numeric, $9::boolean, $10::text, $11::jsonb, $12::numeric, $13::numeric)
     returning ${priceColumns}`,
    [
      tenantId,
      price.metric,
      price.basePrice,
      price.effectiveFrom,
      price.effectiveTo ?? null,
      price.reason ?? null,
      ...termsValues(price.terms),
    ],
  );
  return row;
}

/** Ends a custom price at an instant. */
export async function endPrice(kernel: Kernel, tenantId: string, id: string, at: Date): Promise<boolean> {
  const rows = await kernel.query(
    `update tenantry.custom_prices c set effective_to = date_trunc('milliseconds', $3::timestamptz)
     where c.tenant_id = $1::uuid and c.id = $2::uuid returning c.id`,
    [tenantId, id, at],
  );
  return rows.length > 0;
}
