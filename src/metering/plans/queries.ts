import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { metricTermsSchema, Plan, planDefine, planPublish } from './schema.ts';

/** The terms of every metric of a plan, as one object. Numbers as text: a float would lose digits. */
export const metricsJson = (table: string, condition: string): string => `coalesce((
    select jsonb_object_agg(m.metric, jsonb_build_object('period', m.period, 'included', trim_scale(m.included)::text, 'hard', m.hard,
      'model', m.model, 'tiers', m.tiers, 'packageSize', trim_scale(m.package_size)::text, 'cap', trim_scale(m.cap)::text))
    from tenantry.${table} m where ${condition}), '{}')`;

const globalColumns = `g.key, g.version, g.family, g.tier, g.name, g.description, g.currency, trim_scale(g.base_price)::text as "basePrice",
  g.base_timing as "baseTiming", g.trial_days as "trialDays", g.rate_limits as "rateLimits", g.offered as available,
  g.created_at as "createdAt", ${metricsJson('plan_metrics', 'm.plan_key = g.key and m.plan_version = g.version')} as metrics`;

const ownColumns = `o.key, o.version, null::text as family, o.tier, o.name, o.description, o.currency, trim_scale(o.base_price)::text as "basePrice",
  o.base_timing as "baseTiming", o.trial_days as "trialDays", o.rate_limits as "rateLimits", o.approved_at is not null as available,
  o.created_at as "createdAt", ${metricsJson('tenant_plan_metrics', 'm.tenant_id = o.tenant_id and m.plan_id = o.id')} as metrics`;

/** The newest version of each plan that is offered, then every version of the organization's own. */
export async function selectPlans(kernel: Kernel, tenantId: string | null): Promise<Plan[]> {
  const offered = await kernel.query<PlanRow>(
    `select ${globalColumns} from tenantry.plans g
     where g.offered and g.version = (select max(v.version) from tenantry.plans v where v.key = g.key and v.offered)
     order by g.family, g.base_price, g.key`,
  );
  const own =
    tenantId === null
      ? []
      : await kernel.query<PlanRow>(
          `select ${ownColumns} from tenantry.tenant_plans o where o.tenant_id = $1::uuid order by o.key, o.version desc`,
          [tenantId],
        );
  return [...own, ...offered];
}

export async function selectPlan(
  kernel: Kernel,
  tenantId: string | null,
  key: string,
  version: number | undefined,
): Promise<Plan | null> {
  const [own] =
    tenantId === null
      ? []
      : await kernel.query<PlanRow>(
          `select ${ownColumns} from tenantry.tenant_plans o
           where o.tenant_id = $1::uuid and o.key = $2::text and ($3::int is null or o.version = $3::int)
           order by o.version desc limit 1`,
          [tenantId, key, version],
        );
  if (own !== undefined) return own;
  const [global] = await kernel.query<PlanRow>(
    `select ${globalColumns} from tenantry.plans g where g.key = $1::text and ($2::int is null or g.version = $2::int)
     order by g.version desc limit 1`,
    [key, version],
  );
  return global ?? null;
}

type PlanRow = Plan & Record<string, unknown>;
type Terms = z.output<typeof metricTermsSchema>;

const metricColumns = 'metric, period, included, hard, model, tiers, package_size, cap';
const metricRows = `select m.key, m.value ->> 'period', (m.value ->> 'included')::numeric, (m.value ->> 'hard')::boolean, m.value ->> 'model',
  nullif(m.value -> 'tiers', 'null'::jsonb), (m.value ->> 'packageSize')::numeric, (m.value ->> 'cap')::numeric`;

/** The next version of an organization's own plan. */
export async function insertOwnPlan(
  kernel: Kernel,
  tenantId: string,
  plan: z.output<typeof planDefine>,
): Promise<number> {
  const [row] = await kernel.query<{ id: string; version: number }>(
    `insert into tenantry.tenant_plans (tenant_id, key, version, tier, name, description, currency, base_price, base_timing, rate_limits)
     select $1::uuid, $2::text, coalesce(max(p.version), 0) + 1, $3::text, $4::text, $5::text, $6::text, $7::numeric, $8::text, $9::jsonb
     from tenantry.tenant_plans p where p.tenant_id = $1::uuid and p.key = $2::text
     returning id, version`,
    [tenantId, plan.key, ...planValues(plan)],
  );
  if (row === undefined) return 0;
  await kernel.query(
    `insert into tenantry.tenant_plan_metrics (tenant_id, plan_id, ${metricColumns})
     select $1::uuid, $2::uuid, t.* from (${metricRows} from jsonb_each($3::jsonb) m) t`,
    [tenantId, row.id, json(plan.metrics)],
  );
  return row.version;
}

/** The next version of a global plan. */
export async function insertPlan(kernel: Kernel, plan: z.output<typeof planPublish>): Promise<number> {
  const [row] = await kernel.query<{ version: number }>(
    `insert into tenantry.plans (key, version, tier, name, description, currency, base_price, base_timing, rate_limits, family, trial_days, offered)
     select $1::text, coalesce(max(p.version), 0) + 1, $2::text, $3::text, $4::text, $5::text, $6::numeric, $7::text, $8::jsonb,
       $9::text, $10::int, $11::boolean
     from tenantry.plans p where p.key = $1::text
     returning version`,
    [plan.key, ...planValues(plan), plan.family, plan.trialDays, plan.offered],
  );
  const version = row?.version ?? 0;
  await kernel.query(
    `insert into tenantry.plan_metrics (plan_key, plan_version, ${metricColumns})
     select $1::text, $2::int, t.* from (${metricRows} from jsonb_each($3::jsonb) m) t`,
    [plan.key, version, json(plan.metrics)],
  );
  return version;
}

const json = (value: unknown): string => JSON.stringify(value);

const planValues = (plan: z.output<typeof planDefine>): unknown[] => [
  plan.tier,
  plan.name,
  plan.description,
  plan.currency,
  plan.basePrice,
  plan.baseTiming,
  json(plan.rateLimits),
];

/** False when there is none that was not approved yet. */
export async function deleteOwnPlan(kernel: Kernel, tenantId: string, key: string, version: number): Promise<boolean> {
  const rows = await kernel.query(
    `delete from tenantry.tenant_plans o
     where o.tenant_id = $1::uuid and o.key = $2::text and o.version = $3::int and o.approved_at is null returning o.id`,
    [tenantId, key, version],
  );
  return rows.length > 0;
}

export async function approveOwnPlan(
  kernel: Kernel,
  tenantId: string,
  key: string,
  version: number,
  trialDays: number,
): Promise<boolean> {
  const rows = await kernel.query(
    `update tenantry.tenant_plans o set approved_at = coalesce(o.approved_at, now()), trial_days = $4::int
     where o.tenant_id = $1::uuid and o.key = $2::text and o.version = $3::int returning o.id`,
    [tenantId, key, version, trialDays],
  );
  return rows.length > 0;
}

export async function updateOffered(kernel: Kernel, key: string, version: number, offered: boolean): Promise<boolean> {
  const rows = await kernel.query(
    'update tenantry.plans g set offered = $3::boolean where g.key = $1::text and g.version = $2::int returning g.key',
    [key, version, offered],
  );
  return rows.length > 0;
}

/** What a custom price holds, as its columns. */
export const termsValues = (terms: Terms | null): unknown[] => [
  terms?.period ?? null,
  terms?.included ?? null,
  terms?.hard ?? null,
  terms?.model ?? null,
  terms?.tiers === undefined || terms.tiers === null ? null : json(terms.tiers),
  terms?.packageSize ?? null,
  terms?.cap ?? null,
];
