-- Subscribing, changing and canceling; billing periods; what was used in one. Invoices: 0016.

-- ── periods: always anchor + n months on the wall clock, never the last one + 1 ─────────────────────────────────────

create function tenantry.billing_edge(p_tenant uuid, p_subscription uuid, p_edge integer) returns timestamptz language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return (select tenantry.first_instant(coalesce(
      (select z.time_zone from tenantry.subscription_zones z
        where z.tenant_id = p_tenant and z.subscription_id = p_subscription and z.from_edge <= p_edge
        order by z.from_edge desc limit 1), s.time_zone), s.anchor_local + make_interval(months => p_edge))
    from tenantry.subscriptions s where s.tenant_id = p_tenant and s.id = p_subscription);
end $$;
comment on function tenantry.billing_edge(uuid, uuid, integer) is 'Start of billing period p_edge, and end of the one before it.';

create function tenantry.billing_period(p_tenant uuid, p_subscription uuid, p_at timestamptz) returns integer language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  v_local timestamp;
  n integer;
begin
  select s.anchor_local into v_local from tenantry.subscriptions s where s.tenant_id = p_tenant and s.id = p_subscription;
  n := (extract(year from p_at at time zone 'UTC')::integer - extract(year from v_local)::integer) * 12
    + extract(month from p_at at time zone 'UTC')::integer - extract(month from v_local)::integer;
  while tenantry.billing_edge(p_tenant, p_subscription, n) > p_at loop n := n - 1; end loop;
  while tenantry.billing_edge(p_tenant, p_subscription, n + 1) <= p_at loop n := n + 1; end loop;
  return n;
end $$;
comment on function tenantry.billing_period(uuid, uuid, timestamptz) is 'Number of the billing period that holds an instant; periods are half-open.';

-- ── subscriptions ───────────────────────────────────────────────────────────────────────────────────────────────────

-- Instants are kept to the millisecond: what a Date can hold, so that shares are the same wherever they are computed.
create function tenantry.billing_now() returns timestamptz language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return date_trunc('milliseconds', statement_timestamp());
end $$;

-- A plan by its key: the organization's own first, then the global one, of the version or the newest.
create function tenantry.find_plan(p_tenant uuid, p_key text, p_version integer, p_any boolean,
  out plan_key text, out plan_version integer, out tenant_plan_id uuid, out currency text, out trial_days integer)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  select o.id, o.currency, o.trial_days into tenant_plan_id, currency, trial_days
    from tenantry.tenant_plans o
    where o.tenant_id = p_tenant and o.key = p_key and o.approved_at is not null and (p_version is null or o.version = p_version)
    order by o.version desc limit 1;
  if tenant_plan_id is not null then
    return;
  end if;
  select g.key, g.version, g.currency, g.trial_days into plan_key, plan_version, currency, trial_days
    from tenantry.plans g
    where g.key = p_key and (g.offered or p_any) and (p_version is null or g.version = p_version)
    order by g.version desc limit 1;
  if plan_key is null then
    raise exception 'there is no such plan, or it is not offered' using errcode = 'P0002', constraint = 'plan_unknown';
  end if;
end $$;

create function tenantry.start_subscription(p_tenant uuid, p_plan text, p_version integer, p_time_zone text, p_starts_at timestamptz,
  p_align text, p_trial_days integer, p_operator boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_plan record;
  v_zone text := coalesce(p_time_zone, tenantry.tenant_time_zone(p_tenant));
  v_starts timestamptz := date_trunc('milliseconds', coalesce(p_starts_at, statement_timestamp()));
  v_trial_end timestamptz;
  v_days integer;
  v_anchor timestamp;
  v_id uuid := tenantry.uuidv7();
begin
  if not tenantry.is_time_zone(v_zone) then
    raise exception 'unknown time zone' using errcode = '23514', constraint = 'subscriptions_time_zone';
  end if;
  perform 1 from tenantry.organizations o where o.id = p_tenant for no key update;
  if exists (select 1 from tenantry.subscriptions s where s.tenant_id = p_tenant and (s.ends_at is null or s.ends_at > v_starts)) then
    raise exception 'the organization has a subscription' using errcode = '23505', constraint = 'subscriptions_open_key';
  end if;
  select * into v_plan from tenantry.find_plan(p_tenant, p_plan, p_version, p_operator);
  v_days := coalesce(p_trial_days, v_plan.trial_days);
  -- One trial per organization, however often it comes back; an operator may give another.
  if p_trial_days is null and exists (select 1 from tenantry.subscriptions s where s.tenant_id = p_tenant and s.trial_ends_at is not null) then
    v_days := 0;
  end if;
  if v_days > 0 then
    v_trial_end := ((v_starts at time zone v_zone) + make_interval(days => v_days)) at time zone v_zone;
  end if;
  v_anchor := coalesce(v_trial_end, v_starts) at time zone v_zone;
  if p_align = 'calendar' then
    v_anchor := date_trunc('month', v_anchor);
  end if;
  insert into tenantry.subscriptions (tenant_id, id, time_zone, currency, starts_at, trial_ends_at, anchor_local, next_invoice_at)
    values (p_tenant, v_id, v_zone, v_plan.currency, v_starts, v_trial_end, v_anchor, coalesce(v_trial_end, v_starts));
  insert into tenantry.subscription_zones (tenant_id, subscription_id, from_edge, time_zone) values (p_tenant, v_id, -12000, v_zone);
  insert into tenantry.subscription_phases (tenant_id, subscription_id, starts_at, plan_key, plan_version, tenant_plan_id)
    values (p_tenant, v_id, v_starts, v_plan.plan_key, v_plan.plan_version, v_plan.tenant_plan_id);
  return v_id;
end $$;

-- The subscription that holds at an instant, locked: two who change it take turns.
create function tenantry.lock_subscription(p_tenant uuid, p_at timestamptz) returns tenantry.subscriptions
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  s tenantry.subscriptions;
begin
  select * into s from tenantry.subscriptions q
    where q.tenant_id = p_tenant and (q.ends_at is null or q.ends_at > p_at) order by q.starts_at desc limit 1 for no key update;
  if s.id is null then
    raise exception 'the organization has no subscription' using errcode = 'P0002', constraint = 'subscription_missing';
  end if;
  return s;
end $$;

-- p_when: now, period_end, or null with an instant (operators). A request key makes a repeated call one change.
create function tenantry.change_subscription_plan(p_tenant uuid, p_plan text, p_version integer, p_when text, p_at timestamptz,
  p_request_key text, p_operator boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := tenantry.billing_now();
  s tenantry.subscriptions := tenantry.lock_subscription(p_tenant, coalesce(p_at, v_now));
  v_plan record;
  v_at timestamptz;
  v_id uuid;
begin
  select f.id into v_id from tenantry.subscription_phases f
    where f.tenant_id = p_tenant and f.subscription_id = s.id and f.request_key = p_request_key;
  if v_id is not null then
    return v_id;
  end if;
  select * into v_plan from tenantry.find_plan(p_tenant, p_plan, p_version, p_operator);
  if v_plan.currency <> s.currency then
    raise exception 'a subscription keeps its currency' using errcode = '23514', constraint = 'subscriptions_currency';
  end if;
  v_at := case
    when p_at is not null then date_trunc('milliseconds', p_at)
    when p_when = 'period_end' then tenantry.billing_edge(p_tenant, s.id, tenantry.billing_period(p_tenant, s.id, greatest(v_now, s.starts_at)) + 1)
    else greatest(v_now, s.starts_at) end;
  if v_at < s.starts_at then
    raise exception 'before the start of the subscription' using errcode = '23514', constraint = 'subscription_phases_before_start';
  end if;
  -- What was planned for later is overtaken by a decision made now.
  delete from tenantry.subscription_phases f
    where f.tenant_id = p_tenant and f.subscription_id = s.id and f.starts_at > greatest(v_at, v_now) and f.starts_at > s.starts_at;
  insert into tenantry.subscription_phases (tenant_id, subscription_id, starts_at, plan_key, plan_version, tenant_plan_id, request_key)
    values (p_tenant, s.id, v_at, v_plan.plan_key, v_plan.plan_version, v_plan.tenant_plan_id, p_request_key)
    returning id into v_id;
  return v_id;
end $$;

create function tenantry.end_subscription(p_tenant uuid, p_when text, p_at timestamptz) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := tenantry.billing_now();
  s tenantry.subscriptions := tenantry.lock_subscription(p_tenant, coalesce(p_at, v_now));
  v_at timestamptz;
begin
  v_at := case
    when p_at is not null then date_trunc('milliseconds', p_at)
    -- a trial ends with its trial: there is no period yet
    when p_when = 'period_end' and s.trial_ends_at > v_now then s.trial_ends_at
    when p_when = 'period_end' then tenantry.billing_edge(p_tenant, s.id, tenantry.billing_period(p_tenant, s.id, greatest(v_now, s.starts_at)) + 1)
    else greatest(v_now, s.starts_at) end;
  update tenantry.subscriptions u set canceled_at = v_now, ends_at = v_at, next_invoice_at = least(u.next_invoice_at, v_at)
    where u.tenant_id = p_tenant and u.id = s.id;
  return s.id;
end $$;

create function tenantry.set_subscription_zone(p_tenant uuid, p_time_zone text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := tenantry.billing_now();
  s tenantry.subscriptions := tenantry.lock_subscription(p_tenant, v_now);
begin
  if not tenantry.is_time_zone(p_time_zone) then
    raise exception 'unknown time zone' using errcode = '23514', constraint = 'subscriptions_time_zone';
  end if;
  -- The running period keeps the end it was announced with; the next one starts there.
  insert into tenantry.subscription_zones as z (tenant_id, subscription_id, from_edge, time_zone)
    values (p_tenant, s.id, tenantry.billing_period(p_tenant, s.id, greatest(v_now, coalesce(s.trial_ends_at, s.starts_at))) + 2, p_time_zone)
    on conflict (tenant_id, subscription_id, from_edge) do update set time_zone = excluded.time_zone;
  update tenantry.subscriptions u set time_zone = p_time_zone where u.tenant_id = p_tenant and u.id = s.id;
  return s.id;
end $$;

create table tenantry.subscription_caps (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  subscription_id uuid not null,
  from_period integer not null,
  cap numeric, -- null: none
  primary key (tenant_id, subscription_id, from_period),
  constraint subscription_caps_cap_check check (cap between 0 and 999999999999 and scale(cap) <= 12),
  constraint subscription_caps_subscription_id_fkey foreign key (tenant_id, subscription_id) references tenantry.subscriptions (tenant_id, id) on delete cascade
);
comment on table tenantry.subscription_caps is 'The most that usage of all metrics together costs in a period, before credits, from period from_period on.';

alter table tenantry.subscription_caps enable row level security;
create policy tenantry_floor on tenantry.subscription_caps as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.subscription_caps for select to public using (true);
grant select on tenantry.subscription_caps to tenantry_app;

-- What members may do: the context's own organization, at once or at the end of the period, and only with billing.write.
create function tenantry.subscription_act(p_act text, p_plan text, p_version integer, p_when text, p_time_zone text, p_request_key text)
returns uuid language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  s tenantry.subscriptions;
begin
  if t is null or not tenantry.caller_can('billing.write') then
    raise exception 'takes the permission billing.write' using errcode = '42501';
  end if;
  case p_act
    when 'start' then return tenantry.start_subscription(t, p_plan, p_version, p_time_zone, null, p_when, null, false);
    when 'change' then return tenantry.change_subscription_plan(t, p_plan, p_version, p_when, null, p_request_key, false);
    when 'cancel' then return tenantry.end_subscription(t, p_when, null);
    when 'resume' then
      s := tenantry.lock_subscription(t, tenantry.billing_now());
      update tenantry.subscriptions u set canceled_at = null, ends_at = null where u.tenant_id = t and u.id = s.id;
      return s.id;
    when 'zone' then return tenantry.set_subscription_zone(t, p_time_zone);
  end case;
end $$;
grant execute on function tenantry.subscription_act(text, text, integer, text, text, text) to tenantry_app;
grant execute on function tenantry.billing_edge(uuid, uuid, integer), tenantry.billing_period(uuid, uuid, timestamptz) to tenantry_app;

-- A price that somebody subscribed to never changes: publish another version, or set a custom price with a date.
create function tenantry.keep_subscribed_plan() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if tg_table_name = 'plans' then
    if tg_op = 'UPDATE' and (new.key, new.version, new.currency, new.base_price, new.base_timing)
      is not distinct from (old.key, old.version, old.currency, old.base_price, old.base_timing) then
      return new;
    end if;
    if not exists (select 1 from tenantry.subscription_phases f where f.plan_key = old.key and f.plan_version = old.version) then
      return case tg_op when 'DELETE' then old else new end;
    end if;
  elsif not exists (select 1 from tenantry.subscription_phases f
      where (f.plan_key, f.plan_version) = (coalesce(new.plan_key, old.plan_key), coalesce(new.plan_version, old.plan_version))) then
    return case tg_op when 'DELETE' then old else new end;
  end if;
  raise exception 'a plan that was subscribed to does not change its price: publish another version'
    using errcode = '23514', constraint = 'plans_subscribed';
end $$;
create trigger keep_subscribed before update or delete on tenantry.plans for each row execute function tenantry.keep_subscribed_plan();
create trigger keep_subscribed before insert or update or delete on tenantry.plan_metrics
  for each row execute function tenantry.keep_subscribed_plan();

-- ── what an invoice reads of usage ──────────────────────────────────────────────────────────────────────────────────

-- The oldest period that an invoice rates again: twelve back, further where a price, a plan or an event with a date before
-- that came after the last invoice; never one whose events were pruned, of which nobody can tell the sum any more.
create function tenantry.oldest_open_period(p_tenant uuid, p_subscription uuid, p_closing integer) returns integer language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  v_changed timestamptz;
  v_kept timestamptz;
  v_last timestamptz;
  n integer := p_closing - 12;
begin
  select max(i.issued_at) into v_last from tenantry.invoices i where i.tenant_id = p_tenant and i.subscription_id = p_subscription;
  select min(x.at) into v_changed from (
    select c.effective_from as at from tenantry.custom_prices c where c.tenant_id = p_tenant and c.updated_at > v_last
    union all
    select f.starts_at from tenantry.subscription_phases f
      where f.tenant_id = p_tenant and f.subscription_id = p_subscription and f.created_at > v_last
    union all
    select i.period_start from tenantry.invoices i
      where i.tenant_id = p_tenant and i.subscription_id = p_subscription and i.voided_at > v_last
    union all
    select u.day_start from tenantry.usage_corrections u where u.tenant_id = p_tenant and u.settled_at is null) x;
  if v_changed is not null then
    n := least(n, tenantry.billing_period(p_tenant, p_subscription, v_changed));
  end if;
  select a.kept_since into v_kept from tenantry.usage_accounts a where a.tenant_id = p_tenant and isfinite(a.kept_since);
  if v_kept is not null then
    n := greatest(n, least(p_closing, tenantry.billing_period(p_tenant, p_subscription, v_kept - interval '1 millisecond') + 1));
  end if;
  return greatest(n, 0);
end $$;

create function tenantry.usage_of_ranges(p_tenant uuid, p_metrics text[], p_from timestamptz[], p_to timestamptz[])
returns table (place bigint, value numeric) language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query select r.ordinality, tenantry.usage_between(p_tenant, null, r.metric, r.from_at, r.to_at)
    from unnest(p_metrics, p_from, p_to) with ordinality as r (metric, from_at, to_at, ordinality);
end $$;

-- The same for whoever may read bills, though not every row of usage.
create function tenantry.billed_usage(p_metrics text[], p_from timestamptz[], p_to timestamptz[])
returns table (place bigint, value numeric) language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not tenantry.caller_can('billing.read') then
    raise exception 'takes the permission billing.read' using errcode = '42501';
  end if;
  return query select u.place, u.value from tenantry.usage_of_ranges(tenantry.current_tenant(), p_metrics, p_from, p_to) u;
end $$;

create function tenantry.billed_since(p_subscription uuid, p_closing integer) returns integer language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return tenantry.oldest_open_period(tenantry.current_tenant(), p_subscription, p_closing);
end $$;
grant execute on function tenantry.billed_usage(text[], timestamptz[], timestamptz[]), tenantry.billed_since(uuid, integer) to tenantry_app;
