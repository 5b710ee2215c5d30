import type { Kernel } from '../../database/kernel.ts';
import type { Aggregation, UsagePeriod } from './schema.ts';
import type { UsageSpan } from './statistics.ts';

/** Written as `namespace_id` of a counter that is the organization's. */
export const wholeOrganization = '00000000-0000-0000-0000-000000000000';

export interface Metric extends Record<string, unknown> {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly aggregation: Aggregation;
  /** Per cent of a limit. */
  readonly alertLevels: number[];
}
const metricColumns = `m.name, m.title, m.unit, m.aggregation, m.alert_levels::float8[] as "alertLevels"`;

export async function selectMetric(kernel: Kernel, name: string): Promise<Metric | null> {
  const [row] = await kernel.query<Metric>(`select ${metricColumns} from tenantry.metrics m where m.name = $1::text`, [
    name,
  ]);
  return row ?? null;
}

export async function listMetrics(kernel: Kernel): Promise<Metric[]> {
  return kernel.query<Metric>(`select ${metricColumns} from tenantry.metrics m order by m.name`);
}

/** Of operators. The aggregation is left alone once something was counted by it. */
export async function upsertMetric(
  kernel: Kernel,
  metric: Omit<Metric, 'alertLevels'> & { alertLevels: readonly number[] | undefined },
): Promise<Metric | null> {
  const [row] = await kernel.query<Metric>(
    `insert into tenantry.metrics as m (name, title, unit, aggregation, alert_levels)
     values ($1::text, $2::text, $3::text, $4::text, coalesce($5::numeric[], '{90,100}'))
     on conflict (name) do update set title = excluded.title, unit = excluded.unit, aggregation = excluded.aggregation,
       alert_levels = coalesce($5::numeric[], m.alert_levels)
       where m.aggregation = excluded.aggregation or not exists (select from tenantry.usage_periods p where p.metric = m.name)
     returning ${metricColumns}`,
    [metric.name, metric.title, metric.unit, metric.aggregation, metric.alertLevels ?? null],
  );
  return row ?? null;
}

export interface Edges extends Record<string, unknown> {
  readonly start: Date;
  readonly end: Date;
  readonly previousStart: Date;
  readonly timeZone: string;
  readonly now: Date;
}

export async function selectEdges(
  kernel: Kernel,
  tenantId: string,
  period: UsagePeriod,
  at: Date | undefined,
): Promise<Edges> {
  const [row] = await kernel.query<Edges>(
    `select e.period_start as start, e.period_end as end, b.period_start as "previousStart", now() as now,
       coalesce((select z.time_zone from tenantry.usage_zones z where z.tenant_id = $1::uuid and z.period = $2::text
         and z.valid_from <= e.period_start order by z.valid_from desc limit 1), tenantry.tenant_time_zone($1::uuid)) as "timeZone"
     from tenantry.usage_edges($1::uuid, $2::text, coalesce($3::timestamptz, now())) e
     cross join lateral tenantry.usage_edges($1::uuid, $2::text, e.period_start - interval '1 second') b`,
    [tenantId, period, at ?? null],
  );
  return row as Edges;
}

export async function selectValue(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  metric: string,
  period: UsagePeriod,
  start: Date,
): Promise<{ value: number; events: number }> {
  const [row] = await kernel.query<{ value: number; events: number }>(
    `select p.value::float8 as value, p.events::float8 as events from tenantry.usage_periods p
     where p.tenant_id = $1::uuid and p.namespace_id = $2::uuid and p.metric = $3::text and p.period = $4::text and p.period_start = $5::timestamptz`,
    [tenantId, namespaceId ?? wholeOrganization, metric, period, start],
  );
  return row ?? { value: 0, events: 0 };
}

/** Each day of a range that has begun, with what was used in it: days of the organization's own calendar. */
export async function selectSeries(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  metric: string,
  from: Date,
  to: Date,
  now: Date,
): Promise<UsageSpan[]> {
  return kernel.query<UsageSpan & Record<string, unknown>>(
    `with recursive day as (
       select e.period_start, e.period_end from tenantry.usage_edges($1::uuid, 'day', $4::timestamptz) e
       union all
       select n.period_start, n.period_end from day d cross join lateral tenantry.usage_edges($1::uuid, 'day', d.period_end) n
         where d.period_end < least($5::timestamptz, $6::timestamptz)
     )
     select d.period_start as start, d.period_end as end, coalesce(p.value, 0)::float8 as value, coalesce(p.events, 0)::float8 as events
     from day d left join tenantry.usage_periods p on p.tenant_id = $1::uuid and p.namespace_id = $2::uuid and p.metric = $3::text
       and p.period = 'day' and p.period_start = d.period_start
     order by d.period_start`,
    [tenantId, namespaceId ?? wholeOrganization, metric, from, to, now],
  );
}

export async function selectTopNamespaces(
  kernel: Kernel,
  tenantId: string,
  metric: string,
  period: UsagePeriod,
  start: Date,
  limit: number,
): Promise<{ id: string; name: string | null; value: number; events: number }[]> {
  return kernel.query(
    `select n.id, n.name, p.value::float8 as value, p.events::float8 as events
     from tenantry.namespaces n join tenantry.usage_periods p on p.tenant_id = n.tenant_id and p.namespace_id = n.id
       and p.metric = $2::text and p.period = $3::text and p.period_start = $4::timestamptz
     where n.tenant_id = $1::uuid order by p.value desc, n.id limit $5::int`,
    [tenantId, metric, period, start, limit],
  );
}

/** The own limit of the context's organization, else its plan's. Undefined: the metric is not limited in such periods. */
export async function selectLimit(
  kernel: Kernel,
  metric: string,
  period: UsagePeriod,
): Promise<{ quantity: number | null; hard: boolean } | undefined> {
  const [row] = await kernel.query<{ quantity: number | null; hard: boolean }>(
    `select l.quantity::float8 as quantity, l.hard from tenantry.caller_usage_limit($1::text) l where l.period = $2::text limit 1`,
    [metric, period],
  );
  return row;
}

export interface UsageAlert extends Record<string, unknown> {
  readonly id: string;
  /** The namespace whose own limit was reached; null: the organization's. */
  readonly namespaceId: string | null;
  readonly metric: string;
  readonly period: UsagePeriod;
  readonly periodStart: Date;
  readonly periodEnd: Date;
  /** Per cent of the limit. */
  readonly level: number;
  /** The limit that held when it was told. */
  readonly limit: number;
  readonly value: number;
  readonly firedAt: Date;
}

export async function listAlerts(kernel: Kernel, tenantId: string, limit: number): Promise<UsageAlert[]> {
  return kernel.query<UsageAlert>(
    `select a.id, nullif(a.namespace_id, '00000000-0000-0000-0000-000000000000') as "namespaceId", a.metric, a.period, a.period_start as "periodStart", a.period_end as "periodEnd", a.level::float8 as level,
       a.quantity::float8 as limit, a.value::float8 as value, a.fired_at as "firedAt"
     from tenantry.usage_alerts a where a.tenant_id = $1::uuid order by a.id desc limit $2::int`,
    [tenantId, limit],
  );
}

export async function upsertAlertLevels(
  kernel: Kernel,
  tenantId: string,
  metric: string,
  levels: readonly number[],
): Promise<void> {
  await kernel.query(
    `insert into tenantry.usage_alert_levels (tenant_id, metric, levels) values ($1::uuid, $2::text, $3::numeric[])
     on conflict (tenant_id, metric) do update set levels = excluded.levels`,
    [tenantId, metric, [...levels]],
  );
}

export async function deleteAlertLevels(kernel: Kernel, tenantId: string, metric: string): Promise<void> {
  await kernel.query('delete from tenantry.usage_alert_levels l where l.tenant_id = $1::uuid and l.metric = $2::text', [
    tenantId,
    metric,
  ]);
}

export interface UsageDifference extends Record<string, unknown> {
  readonly tenantId: string;
  /** Of which the counter is: the whole organization, a namespace or a key. */
  readonly scope: 'organization' | 'namespace' | 'api_key';
  readonly scopeId: string;
  readonly metric: string;
  readonly period: UsagePeriod;
  readonly periodStart: Date;
  readonly countedValue: string;
  readonly ledgerValue: string;
  readonly countedEvents: number;
  readonly ledgerEvents: number;
}

/** As the owner. */
export async function selectDifferences(kernel: Kernel, tenantId: string): Promise<UsageDifference[]> {
  return kernel.query<UsageDifference>(
    `select $1::text as "tenantId", case when d.of_key then 'api_key' when d.scope_id = '${wholeOrganization}' then 'organization' else 'namespace' end as scope,
       d.scope_id as "scopeId", d.metric, d.period, d.period_start as "periodStart", coalesce(d.counted_value, 0)::text as "countedValue",
       d.ledger_value::text as "ledgerValue", coalesce(d.counted_events, 0)::float8 as "countedEvents", d.ledger_events::float8 as "ledgerEvents"
     from tenantry.usage_differences($1::uuid) d order by d.metric, d.period, d.period_start, d.of_key, d.scope_id`,
    [tenantId],
  );
}

/** As the owner. */
export async function recountUsage(kernel: Kernel, tenantId: string): Promise<number> {
  const [row] = await kernel.query<{ changed: number }>('select tenantry.recount_usage($1::uuid)::float8 as changed', [
    tenantId,
  ]);
  return row?.changed ?? 0;
}

/** As the owner. */
export async function pruneUsage(kernel: Kernel, tenantId: string, before: Date, limit: number): Promise<number> {
  const [row] = await kernel.query<{ gone: number }>(
    'select tenantry.prune_usage($1::uuid, $2::timestamptz, $3::int)::float8 as gone',
    [tenantId, before, limit],
  );
  return row?.gone ?? 0;
}

/** Accounts after one, in the order of their ids; as the owner, all of them. */
export async function listAccounts(kernel: Kernel, after: string | undefined, limit: number): Promise<string[]> {
  const rows = await kernel.query<{ id: string }>(
    `select a.tenant_id as id from tenantry.usage_accounts a where ($1::uuid is null or a.tenant_id > $1::uuid) order by a.tenant_id limit $2::int`,
    [after ?? null, limit],
  );
  return rows.map(({ id }) => id);
}

export interface UsageAcross extends Record<string, unknown> {
  readonly tenantId: string;
  readonly slug: string;
  readonly name: string;
  readonly value: number;
  readonly events: number;
  readonly periodStart: Date;
}

/** As the owner: the organizations that used most in their own day or month around an instant. */
export async function selectHeaviest(
  kernel: Kernel,
  metric: string,
  period: UsagePeriod,
  at: Date,
  limit: number,
): Promise<UsageAcross[]> {
  return kernel.query<UsageAcross>(
    `select o.id as "tenantId", o.slug, o.name, p.value::float8 as value, p.events::float8 as events, p.period_start as "periodStart"
     from tenantry.usage_periods p join tenantry.organizations o on o.id = p.tenant_id
     where p.namespace_id = '${wholeOrganization}' and ((p.metric || '/' || p.period) collate "C") = $1::text || '/' || $2::text
       and p.period_start <= $3::timestamptz and p.period_end > $3::timestamptz and p.period_start > $3::timestamptz - interval '33 days'
     order by p.value desc, o.id limit $4::int`,
    [metric, period, at, limit],
  );
}
