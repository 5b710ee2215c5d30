import type { Kernel } from '../../database/kernel.ts';

export interface StepState {
  readonly attempt: number;
  readonly attemptedAt: Date;
  readonly stripeId: string | null;
  /** Whether this call wrote it: nothing was sent before. */
  readonly fresh: boolean;
}

/** Writes down that a request is about to be sent, or reads what is known of it. */
export async function beginStep(kernel: Kernel, tenantId: string, subjectId: string, step: string): Promise<StepState> {
  const [made] = await kernel.query(
    `insert into tenantry.stripe_steps (tenant_id, subject_id, step) values ($1::uuid, $2::uuid, $3::text)
     on conflict (tenant_id, subject_id, step) do nothing returning 1`,
    [tenantId, subjectId, step],
  );
  const [row] = await kernel.query<Omit<StepState, 'fresh'> & Record<string, unknown>>(
    `select s.attempt, s.attempted_at as "attemptedAt", s.stripe_id as "stripeId" from tenantry.stripe_steps s
     where s.tenant_id = $1::uuid and s.subject_id = $2::uuid and s.step = $3::text`,
    [tenantId, subjectId, step],
  );
  const state = row ?? { attempt: 1, attemptedAt: new Date(), stripeId: null };
  return { ...state, fresh: made !== undefined };
}

/** Another attempt with another key; of two who ask at once one makes it, and both go on with it. */
export async function nextAttempt(
  kernel: Kernel,
  tenantId: string,
  subjectId: string,
  step: string,
  attempt: number,
): Promise<void> {
  await kernel.query(
    `update tenantry.stripe_steps s set attempt = s.attempt + 1, attempted_at = clock_timestamp()
     where s.tenant_id = $1::uuid and s.subject_id = $2::uuid and s.step = $3::text and s.attempt = $4::int and s.stripe_id is null`,
    [tenantId, subjectId, step, attempt],
  );
}

/** What the request made. Of two answers the first one stands. */
export async function finishStep(
  kernel: Kernel,
  tenantId: string,
  subjectId: string,
  step: string,
  stripeId: string,
): Promise<void> {
  await kernel.query(
    `update tenantry.stripe_steps s set stripe_id = $4::text, done_at = clock_timestamp()
     where s.tenant_id = $1::uuid and s.subject_id = $2::uuid and s.step = $3::text and s.stripe_id is null`,
    [tenantId, subjectId, step, stripeId],
  );
}

export async function selectStep(
  kernel: Kernel,
  tenantId: string,
  subjectId: string,
  step: string,
): Promise<string | undefined> {
  const [row] = await kernel.query<{ stripeId: string | null }>(
    `select s.stripe_id as "stripeId" from tenantry.stripe_steps s
     where s.tenant_id = $1::uuid and s.subject_id = $2::uuid and s.step = $3::text`,
    [tenantId, subjectId, step],
  );
  return row?.stripeId ?? undefined;
}

export async function selectCustomer(kernel: Kernel, tenantId: string): Promise<string | undefined> {
  const [row] = await kernel.query<{ customer: string }>(
    'select c.customer from tenantry.stripe_customers c where c.tenant_id = $1::uuid',
    [tenantId],
  );
  return row?.customer;
}

export async function upsertCustomer(kernel: Kernel, tenantId: string, customer: string): Promise<void> {
  await kernel.query(
    `insert into tenantry.stripe_customers (tenant_id, customer) values ($1::uuid, $2::text)
     on conflict (tenant_id) do update set customer = excluded.customer`,
    [tenantId, customer],
  );
}

export async function selectOrganizationName(kernel: Kernel, tenantId: string): Promise<string | undefined> {
  const [row] = await kernel.query<{ name: string }>(
    'select o.name from tenantry.organizations o where o.id = $1::uuid',
    [tenantId],
  );
  return row?.name;
}

/** Invoices that Stripe does not have as they stand now, oldest first. */
export async function selectUnpushed(
  kernel: Kernel,
  tenantId: string | null,
  after: { issuedAt: Date; id: string } | null,
  limit: number,
): Promise<{ tenantId: string; id: string; issuedAt: Date }[]> {
  return kernel.query<{ tenantId: string; id: string; issuedAt: Date }>(
    `select i.tenant_id as "tenantId", i.id, date_trunc('milliseconds', i.issued_at) as "issuedAt" from tenantry.invoices i
     where i.pushed_at is null and ($1::uuid is null or i.tenant_id = $1::uuid)
       and ($2::timestamptz is null or (date_trunc('milliseconds', i.issued_at), i.id) > ($2::timestamptz, $3::uuid))
     order by date_trunc('milliseconds', i.issued_at), i.id limit $4::int`,
    [tenantId, after?.issuedAt ?? null, after?.id ?? null, limit],
  );
}

/** Unless it was voided meanwhile: then there is more to tell. */
export async function markPushed(kernel: Kernel, tenantId: string, id: string, status: string): Promise<void> {
  await kernel.query(
    `update tenantry.invoices i set pushed_at = clock_timestamp()
     where i.tenant_id = $1::uuid and i.id = $2::uuid and i.status = $3::text and i.pushed_at is null`,
    [tenantId, id, status],
  );
}

/** A day of which Stripe does not have all, or perhaps not all. */
export interface UsageDay {
  readonly tenantId: string;
  readonly customer: string;
  readonly metric: string;
  readonly dayStart: Date;
  readonly dayEnd: Date;
  /** What was used of it while the subscription was billed. */
  readonly value: string;
  /** What Stripe has of it for sure. */
  readonly sent: string;
  /** What it does not have for sure. */
  readonly missing: string;
}

export async function selectUsageDays(
  kernel: Kernel,
  tenantId: string | null,
  metrics: readonly string[],
  since: Date,
): Promise<UsageDay[]> {
  return kernel.query<UsageDay & Record<string, unknown>>(
    `select u.tenant_id as "tenantId", c.customer, u.metric, u.period_start as "dayStart", u.period_end as "dayEnd", trim_scale(v.value)::text as value,
       trim_scale(coalesce(x.sent, 0))::text as sent, trim_scale(v.value - coalesce(x.sent, 0))::text as missing
     from tenantry.stripe_customers c
     join lateral (select coalesce(q.trial_ends_at, q.starts_at) as starts_at, q.ends_at from tenantry.subscriptions q
       where q.tenant_id = c.tenant_id order by q.starts_at desc, q.id desc limit 1) s on true
     join tenantry.usage_periods u on u.tenant_id = c.tenant_id and u.namespace_id = '00000000-0000-0000-0000-000000000000'
       and u.metric = any ($2::text[]) and u.period = 'day' and u.period_start >= $3::timestamptz
       and u.period_end > s.starts_at and (s.ends_at is null or u.period_start < s.ends_at)
     cross join lateral (select coalesce(case when u.period_start >= s.starts_at and (s.ends_at is null or u.period_end <= s.ends_at) then u.value
       else tenantry.usage_between(u.tenant_id, null, u.metric, greatest(u.period_start, s.starts_at), least(u.period_end, s.ends_at)) end, 0) as value) v
     left join tenantry.stripe_usage x on x.tenant_id = u.tenant_id and x.metric = u.metric and x.day_start = u.period_start
     where ($1::uuid is null or c.tenant_id = $1::uuid) and (coalesce(x.sent, 0) <> v.value or x.pending is not null)
     order by u.tenant_id, u.metric, u.period_start`,
    [tenantId, metrics, since],
  );
}

export interface PendingUsage {
  readonly sent: string;
  readonly pending: string | null;
  readonly pendingSince: Date | null;
  readonly events: number;
}

/** Writes down what is about to be sent; what is on its way already stays as it is. */
export async function claimUsage(kernel: Kernel, day: UsageDay): Promise<PendingUsage | undefined> {
  await kernel.query(
    `insert into tenantry.stripe_usage as x (tenant_id, metric, day_start, day_end, pending, pending_since, events)
     values ($1::uuid, $2::text, $3::timestamptz, $4::timestamptz, $5::numeric, date_trunc('second', clock_timestamp()), 1)
     on conflict (tenant_id, metric, day_start) do update
       set pending = $5::numeric - x.sent, pending_since = excluded.pending_since, events = x.events + 1
       where x.pending is null and x.sent <> $5::numeric`,
    [day.tenantId, day.metric, day.dayStart, day.dayEnd, day.value],
  );
  return selectPending(kernel, day);
}

export async function selectPending(
  kernel: Kernel,
  { tenantId, metric, dayStart }: Pick<UsageDay, 'tenantId' | 'metric' | 'dayStart'>,
): Promise<PendingUsage | undefined> {
  const [row] = await kernel.query<PendingUsage & Record<string, unknown>>(
    `select trim_scale(x.sent)::text as sent, trim_scale(x.pending)::text as pending, x.pending_since as "pendingSince", x.events
     from tenantry.stripe_usage x where x.tenant_id = $1::uuid and x.metric = $2::text and x.day_start = $3::timestamptz`,
    [tenantId, metric, dayStart],
  );
  return row;
}

/** Settles what was on its way: it arrived, or it did not. */
export async function settleUsage(
  kernel: Kernel,
  day: Pick<UsageDay, 'tenantId' | 'metric' | 'dayStart'>,
  events: number,
  arrived: boolean,
): Promise<void> {
  await kernel.query(
    `update tenantry.stripe_usage x set sent = case when $5::boolean then x.sent + x.pending else x.sent end, pending = null, pending_since = null
     where x.tenant_id = $1::uuid and x.metric = $2::text and x.day_start = $3::timestamptz and x.events = $4::int and x.pending is not null`,
    [day.tenantId, day.metric, day.dayStart, events, arrived],
  );
}
