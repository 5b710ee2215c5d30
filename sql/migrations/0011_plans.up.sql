-- Plans as data: what a plan costs, includes and limits; plans and prices of one organization's own; subscriptions with their phases.
-- Prices are decimals in the currency's main unit (12.50 dollars, 1200 yen); what an invoice says is counted in minor units.

-- ── rules of a price, shared by global plans, an organization's own plans and custom prices ─────────────────────────

-- Tiers: [{"upTo": "1000", "unit": "0.05", "flat": "0"}, …, {"upTo": null, …}], bounds rising, the last one open.
create function tenantry.valid_tiers(p_tiers jsonb) returns boolean language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
declare
  tier jsonb;
  last_bound numeric := 0;
  open_end boolean := false;
begin
  if jsonb_typeof(p_tiers) is distinct from 'array' or jsonb_array_length(p_tiers) not between 1 and 100 then
    return false;
  end if;
  for tier in select value from jsonb_array_elements(p_tiers) loop
    if open_end or jsonb_typeof(tier) <> 'object' or not tier ? 'upTo'
      or coalesce(tier ->> 'unit', '') !~ '^[0-9]{1,15}([.][0-9]{1,12})?$'
      or coalesce(tier ->> 'flat', '0') !~ '^[0-9]{1,15}([.][0-9]{1,12})?$' then
      return false;
    end if;
    if tier ->> 'upTo' is null then
      open_end := true;
    elsif tier ->> 'upTo' !~ '^[0-9]{1,15}([.][0-9]{1,12})?$' or (tier ->> 'upTo')::numeric <= last_bound then
      return false;
    else
      last_bound := (tier ->> 'upTo')::numeric;
    end if;
  end loop;
  return open_end;
end $$;

create function tenantry.valid_price(p_period text, p_included numeric, p_hard boolean, p_model text, p_tiers jsonb, p_package numeric, p_cap numeric)
returns boolean language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_period not in ('day', 'month') or coalesce(p_included < 0 or p_included > 999999999999999 or scale(p_included) > 12, false) then
    return false;
  end if;
  if p_model is null then
    return p_tiers is null and p_package is null and p_cap is null;
  end if;
  -- What costs money is counted by the billing period, and never refused for the price's sake.
  return p_model in ('graduated', 'volume', 'package') and p_period = 'month' and not p_hard and p_included is not null
    and tenantry.valid_tiers(p_tiers) and (p_model = 'package') = (p_package is not null)
    and (p_model <> 'package' or jsonb_array_length(p_tiers) = 1)
    and coalesce(p_package > 0 and p_package <= 999999999999999 and scale(p_package) <= 12, true)
    and coalesce(p_cap between 0 and 999999999999 and scale(p_cap) <= 12, true);
end $$;

create function tenantry.is_time_zone(p_zone text) returns boolean language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  if p_zone is null or p_zone !~ '^[A-Za-z][A-Za-z0-9_+/-]{0,62}$' then
    return false;
  end if;
  perform now() at time zone p_zone;
  return true;
exception when invalid_parameter_value then
  return false;
end $$;

-- ── global plans ────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.plans (
  key text not null,
  version integer not null,
  family text not null,
  tier text not null, -- rung of the family's ladder: trial, starter, pro
  name text not null,
  description text,
  currency text not null,
  base_price numeric not null default 0,
  base_timing text not null default 'arrears',
  trial_days integer not null default 0,
  rate_limits jsonb not null default '{}', -- {"conversations": {"limit": 60, "periodMs": 60000, "burst": 10}}
  offered boolean not null default true, -- organizations may choose it themselves
  created_at timestamptz not null default now(),
  primary key (key, version),
  constraint plans_key_check check (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint plans_version_check check (version >= 1),
  constraint plans_name_check check (length(name) between 1 and 255),
  constraint plans_tier_check check (tier ~ '^[a-z][a-z0-9_-]{0,62}$' and family ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint plans_currency_check check (currency ~ '^[A-Z]{3}$'),
  constraint plans_base_price_check check (base_price between 0 and 999999999999 and scale(base_price) <= 12),
  constraint plans_base_timing_check check (base_timing in ('arrears', 'advance')),
  constraint plans_trial_days_check check (trial_days between 0 and 730),
  constraint plans_rate_limits_check check (jsonb_typeof(rate_limits) = 'object')
);
comment on table tenantry.plans is 'What is sold to every organization, by key and version. Global; operators edit it. A version that was subscribed to never changes.';
comment on column tenantry.plans.base_timing is 'When the base fee is due: at the end of its period (arrears) or at its start (advance).';

create table tenantry.plan_metrics (
  plan_key text not null,
  plan_version integer not null,
  metric text not null,
  period text not null default 'month',
  included numeric, -- null: unlimited
  hard boolean not null default false,
  model text,
  tiers jsonb,
  package_size numeric,
  cap numeric,
  primary key (plan_key, plan_version, metric),
  constraint plan_metrics_plan_fkey foreign key (plan_key, plan_version) references tenantry.plans (key, version) on delete cascade,
  constraint plan_metrics_metric_check check (metric ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint plan_metrics_price_check check (tenantry.valid_price(period, included, hard, model, tiers, package_size, cap))
);
comment on table tenantry.plan_metrics is 'What a plan includes of a metric, whether more is refused (hard), and what more costs.';
comment on column tenantry.plan_metrics.cap is 'The most that the metric can cost in one period, in the main unit, before credits.';

-- ── an organization's own plans, and its own prices on any plan ─────────────────────────────────────────────────────

create table tenantry.tenant_plans (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  key text not null,
  version integer not null,
  tier text not null,
  name text not null,
  description text,
  currency text not null,
  base_price numeric not null default 0,
  base_timing text not null default 'arrears',
  trial_days integer not null default 0,
  rate_limits jsonb not null default '{}',
  approved_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint tenant_plans_key unique (tenant_id, key, version),
  constraint tenant_plans_key_check check (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint tenant_plans_version_check check (version >= 1),
  constraint tenant_plans_name_check check (length(name) between 1 and 255),
  constraint tenant_plans_tier_check check (tier ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint tenant_plans_currency_check check (currency ~ '^[A-Z]{3}$'),
  constraint tenant_plans_base_price_check check (base_price between 0 and 999999999999 and scale(base_price) <= 12),
  constraint tenant_plans_base_timing_check check (base_timing in ('arrears', 'advance')),
  constraint tenant_plans_trial_days_check check (trial_days between 0 and 730),
  constraint tenant_plans_rate_limits_check check (jsonb_typeof(rate_limits) = 'object')
);
comment on table tenantry.tenant_plans is 'Plans that an organization defined for itself. Nobody subscribes to one before an operator approved it.';

create table tenantry.tenant_plan_metrics (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  plan_id uuid not null,
  metric text not null,
  period text not null default 'month',
  included numeric,
  hard boolean not null default false,
  model text,
  tiers jsonb,
  package_size numeric,
  cap numeric,
  primary key (tenant_id, plan_id, metric),
  constraint tenant_plan_metrics_plan_id_fkey foreign key (tenant_id, plan_id) references tenantry.tenant_plans (tenant_id, id) on delete cascade,
  constraint tenant_plan_metrics_metric_check check (metric ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint tenant_plan_metrics_price_check check (tenantry.valid_price(period, included, hard, model, tiers, package_size, cap))
);

create table tenantry.custom_prices (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  metric text, -- null: the base fee
  effective_from timestamptz not null,
  effective_to timestamptz,
  base_price numeric,
  period text,
  included numeric,
  hard boolean,
  model text,
  tiers jsonb,
  package_size numeric,
  cap numeric,
  reason text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint custom_prices_metric_check check (metric ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint custom_prices_range_check check (effective_to > effective_from),
  constraint custom_prices_kind_check check (
    case when metric is null then base_price is not null and period is null and included is null and hard is null and model is null
        and tiers is null and package_size is null and cap is null
      else base_price is null and period in ('day', 'month') and hard is not null end),
  constraint custom_prices_base_price_check check (base_price between 0 and 999999999999 and scale(base_price) <= 12),
  constraint custom_prices_price_check check (metric is null or tenantry.valid_price(period, included, hard, model, tiers, package_size, cap)),
  constraint custom_prices_reason_check check (length(reason) between 1 and 1000)
);
comment on table tenantry.custom_prices is 'What one organization pays or may use instead of its plan''s row, from one instant to another. The youngest wins where several hold.';
create index custom_prices_metric_idx on tenantry.custom_prices (tenant_id, metric, effective_from);

-- ── subscriptions ───────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.subscriptions (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  time_zone text not null,
  currency text not null,
  starts_at timestamptz not null,
  trial_ends_at timestamptz,
  anchor_local timestamp not null,
  canceled_at timestamptz,
  ends_at timestamptz,
  next_invoice_at timestamptz, -- when to look for a period to close: perhaps too early, never too late; null: all is billed
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint subscriptions_currency_check check (currency ~ '^[A-Z]{3}$'),
  constraint subscriptions_trial_check check (trial_ends_at > starts_at),
  constraint subscriptions_ends_check check (ends_at >= starts_at and (ends_at is null) = (canceled_at is null))
);
comment on table tenantry.subscriptions is 'One at a time per organization. Which plan: its phases. Billing starts when the trial ends.';
comment on column tenantry.subscriptions.anchor_local is 'Wall clock of the first billing period''s start. Period n starts at this + n months, in the time zone of edge n.';
create index subscriptions_next_invoice_idx on tenantry.subscriptions (next_invoice_at, id) where next_invoice_at is not null;
create unique index subscriptions_open_key on tenantry.subscriptions (tenant_id) where ends_at is null;
create index subscriptions_starts_idx on tenantry.subscriptions (tenant_id, starts_at);

create table tenantry.subscription_phases (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  subscription_id uuid not null,
  starts_at timestamptz not null,
  plan_key text,
  plan_version integer,
  tenant_plan_id uuid,
  request_key text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint subscription_phases_request_key unique (tenant_id, subscription_id, request_key),
  constraint subscription_phases_plan_check check ((plan_key is null) = (plan_version is null) and (plan_key is null) <> (tenant_plan_id is null)),
  constraint subscription_phases_subscription_id_fkey foreign key (tenant_id, subscription_id) references tenantry.subscriptions (tenant_id, id) on delete cascade,
  constraint subscription_phases_plan_fkey foreign key (plan_key, plan_version) references tenantry.plans (key, version),
  constraint subscription_phases_tenant_plan_id_fkey foreign key (tenant_id, tenant_plan_id) references tenantry.tenant_plans (tenant_id, id)
);
comment on table tenantry.subscription_phases is 'Which plan holds from when: a change of plan is a new phase. Of several at one instant the youngest holds.';
create index subscription_phases_starts_idx on tenantry.subscription_phases (tenant_id, subscription_id, starts_at, id);
create index subscription_phases_plan_idx on tenantry.subscription_phases (plan_key, plan_version);
create index subscription_phases_tenant_plan_id_idx on tenantry.subscription_phases (tenant_id, tenant_plan_id);

create table tenantry.subscription_zones (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  subscription_id uuid not null,
  from_edge integer not null,
  time_zone text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, subscription_id, from_edge),
  constraint subscription_zones_subscription_id_fkey foreign key (tenant_id, subscription_id) references tenantry.subscriptions (tenant_id, id) on delete cascade
);
comment on table tenantry.subscription_zones is 'The time zone of the edges from number from_edge on: a period always starts where the last one ended.';

-- ── what others read ────────────────────────────────────────────────────────────────────────────────────────────────

-- The plan of an organization at an instant: of the open subscription, else of the last one, which includes nothing any more.
create function tenantry.plan_at(p_tenant uuid, p_at timestamptz)
returns table (subscription_id uuid, plan_key text, plan_version integer, tenant_plan_id uuid, ended boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select s.id, f.plan_key, f.plan_version, f.tenant_plan_id, coalesce(s.ends_at <= p_at, false)
      from (select q.id, q.ends_at from tenantry.subscriptions q
              where q.tenant_id = p_tenant and q.starts_at <= p_at order by q.starts_at desc, q.id desc limit 1) s
      cross join lateral (select p.plan_key, p.plan_version, p.tenant_plan_id from tenantry.subscription_phases p
        where p.tenant_id = p_tenant and p.subscription_id = s.id and p.starts_at <= p_at
        order by p.starts_at desc, p.id desc limit 1) f;
end $$;

-- What the plan, or the organization's custom price, includes of a metric now. No row: the metric is not limited.
-- included null: unlimited. After the end of a subscription nothing is included.
create function tenantry.plan_limit(p_tenant uuid, p_metric text) returns table (included numeric, hard boolean, period text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select case when a.ended then 0 else m.included end, a.ended or m.hard, m.period
      from tenantry.plan_at(p_tenant, statement_timestamp()) a
      cross join lateral (
        select * from (
          (select 1 as place, c.included, c.hard, c.period from tenantry.custom_prices c
            where c.tenant_id = p_tenant and c.metric = p_metric
              and c.effective_from <= statement_timestamp() and (c.effective_to is null or c.effective_to > statement_timestamp())
            order by c.created_at desc, c.id desc limit 1)
          union all
          select 2, g.included, g.hard, g.period from tenantry.plan_metrics g
            where g.plan_key = a.plan_key and g.plan_version = a.plan_version and g.metric = p_metric
          union all
          select 2, o.included, o.hard, o.period from tenantry.tenant_plan_metrics o
            where o.tenant_id = p_tenant and o.plan_id = a.tenant_plan_id and o.metric = p_metric) found
        order by found.place limit 1) m;
end $$;
comment on function tenantry.plan_limit(uuid, text) is 'For functions of the owner: what a plan includes of a metric per period, and whether more is refused.';

create function tenantry.plan_rate(p_tenant uuid, p_name text) returns table (max_requests integer, period_ms bigint, burst integer)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select (r.rate ->> 'limit')::integer, (r.rate ->> 'periodMs')::bigint, (r.rate ->> 'burst')::integer
      from tenantry.plan_at(p_tenant, statement_timestamp()) a
      cross join lateral (
        select g.rate_limits -> p_name as rate from tenantry.plans g where g.key = a.plan_key and g.version = a.plan_version
        union all
        select o.rate_limits -> p_name from tenantry.tenant_plans o where o.tenant_id = p_tenant and o.id = a.tenant_plan_id) r
      where r.rate is not null;
end $$;
comment on function tenantry.plan_rate(uuid, text) is 'For functions of the owner: the rate that a plan grants under a name; no row: none stated.';

-- The subscription's time zone, else the organization's setting time_zone, else UTC.
create function tenantry.tenant_time_zone(p_tenant uuid) returns text language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  zone text;
begin
  select s.time_zone into zone from tenantry.subscriptions s
    where s.tenant_id = p_tenant order by s.starts_at desc, s.id desc limit 1;
  if zone is null then
    select o.settings ->> 'time_zone' into zone from tenantry.organizations o where o.id = p_tenant;
  end if;
  return case when tenantry.is_time_zone(zone) then zone else 'UTC' end;
end $$;
comment on function tenantry.tenant_time_zone(uuid) is 'The time zone that an organization counts and is billed in.';

-- ── policies and grants ─────────────────────────────────────────────────────────────────────────────────────────────
-- Plans and the fact of a subscription are for every member; prices of one's own take billing.read. Everything but an own
-- plan is written by functions (0014) and operators: nobody sets what they pay.

alter table tenantry.tenant_plans enable row level security;
create policy tenantry_floor on tenantry.tenant_plans as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.tenant_plans for select to public using ((select tenantry.caller_can('billing.read')));
create policy tenantry_access_write on tenantry.tenant_plans for all to public
  using ((select tenantry.caller_can('billing.write')) and approved_at is null)
  with check ((select tenantry.caller_can('billing.write')) and approved_at is null);

alter table tenantry.tenant_plan_metrics enable row level security;
create policy tenantry_floor on tenantry.tenant_plan_metrics as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.tenant_plan_metrics for select to public using ((select tenantry.caller_can('billing.read')));
create policy tenantry_access_insert on tenantry.tenant_plan_metrics for insert to public
  with check ((select tenantry.caller_can('billing.write')) and exists (select 1 from tenantry.tenant_plans o
    where o.tenant_id = tenant_plan_metrics.tenant_id and o.id = plan_id and o.approved_at is null));

alter table tenantry.custom_prices enable row level security;
create policy tenantry_floor on tenantry.custom_prices as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.custom_prices for select to public using ((select tenantry.caller_can('billing.read')));

alter table tenantry.subscriptions enable row level security;
create policy tenantry_floor on tenantry.subscriptions as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.subscriptions for select to public using (true);

alter table tenantry.subscription_phases enable row level security;
create policy tenantry_floor on tenantry.subscription_phases as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.subscription_phases for select to public using (true);

alter table tenantry.subscription_zones enable row level security;
create policy tenantry_floor on tenantry.subscription_zones as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.subscription_zones for select to public using (true);

grant select on tenantry.plans, tenantry.plan_metrics, tenantry.tenant_plans, tenantry.tenant_plan_metrics, tenantry.custom_prices,
  tenantry.subscriptions, tenantry.subscription_phases, tenantry.subscription_zones to tenantry_app;
grant insert (tenant_id, key, version, tier, name, description, currency, base_price, base_timing, rate_limits), delete
  on tenantry.tenant_plans to tenantry_app;
grant insert on tenantry.tenant_plan_metrics to tenantry_app;
grant execute on function tenantry.valid_tiers(jsonb), tenantry.is_time_zone(text),
  tenantry.valid_price(text, numeric, boolean, text, jsonb, numeric, numeric), tenantry.tenant_time_zone(uuid) to tenantry_app;

create trigger touch before update on tenantry.custom_prices for each row execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.subscriptions for each row execute function tenantry.touch_updated_at();

-- ── examples that operators edit: the tiers of a memory service and of customer support ─────────────────────────────

insert into tenantry.plans (key, version, family, tier, name, currency, base_price, trial_days, rate_limits, offered) values
  ('memory-trial', 1, 'memory', 'trial', 'Trial', 'USD', 0, 0, '{"requests": {"limit": 60, "periodMs": 60000}}', true),
  ('memory-starter', 1, 'memory', 'starter', 'Starter', 'USD', 29, 14, '{"requests": {"limit": 300, "periodMs": 60000}}', true),
  ('memory-growth', 1, 'memory', 'growth', 'Growth', 'USD', 99, 14, '{"requests": {"limit": 600, "periodMs": 60000}}', true),
  ('memory-pro', 1, 'memory', 'pro', 'Pro', 'USD', 299, 14, '{"requests": {"limit": 1200, "periodMs": 60000}}', true),
  ('memory-business-plus', 1, 'memory', 'business_plus', 'Business Plus', 'USD', 799, 0, '{"requests": {"limit": 3000, "periodMs": 60000}}', true),
  ('memory-enterprise', 1, 'memory', 'enterprise', 'Enterprise', 'USD', 2500, 0, '{"requests": {"limit": 12000, "periodMs": 60000}}', false),
  ('support-basic', 1, 'support', 'basic', 'Basic', 'USD', 49, 14, '{"conversations": {"limit": 10, "periodMs": 60000}}', true),
  ('support-pro', 1, 'support', 'pro', 'Pro', 'USD', 199, 14, '{"conversations": {"limit": 60, "periodMs": 60000, "burst": 20}}', true),
  ('support-enterprise', 1, 'support', 'enterprise', 'Enterprise', 'USD', 999, 0, '{"conversations": {"limit": 600, "periodMs": 60000, "burst": 100}}', false);

insert into tenantry.plan_metrics (plan_key, plan_version, metric, period, included, hard, model, tiers) values
  ('memory-trial', 1, 'memories', 'month', 1000, true, null, null),
  ('memory-trial', 1, 'api_calls', 'day', 1000, true, null, null),
  ('memory-starter', 1, 'memories', 'month', 10000, true, null, null),
  ('memory-starter', 1, 'api_calls', 'day', 10000, true, null, null),
  ('memory-growth', 1, 'memories', 'month', 100000, false, 'graduated', '[{"upTo": null, "unit": "0.0010"}]'),
  ('memory-growth', 1, 'api_calls', 'day', 100000, true, null, null),
  ('memory-pro', 1, 'memories', 'month', 500000, false, 'graduated', '[{"upTo": "500000", "unit": "0.0008"}, {"upTo": null, "unit": "0.0005"}]'),
  ('memory-pro', 1, 'api_calls', 'day', 500000, false, null, null),
  ('memory-business-plus', 1, 'memories', 'month', 2000000, false, 'graduated', '[{"upTo": "2000000", "unit": "0.0005"}, {"upTo": null, "unit": "0.0003"}]'),
  ('memory-business-plus', 1, 'api_calls', 'day', 2000000, false, null, null),
  ('memory-enterprise', 1, 'memories', 'month', null, false, null, null),
  ('memory-enterprise', 1, 'api_calls', 'day', null, false, null, null),
  ('support-basic', 1, 'conversations', 'month', 500, true, null, null),
  ('support-pro', 1, 'conversations', 'month', 5000, false, 'graduated', '[{"upTo": "5000", "unit": "0.05"}, {"upTo": null, "unit": "0.03"}]'),
  ('support-enterprise', 1, 'conversations', 'month', 50000, false, 'volume', '[{"upTo": "50000", "unit": "0.02"}, {"upTo": null, "unit": "0.015"}]');
