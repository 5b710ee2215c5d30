-- Alerts of usage: what an organization may use, and telling of the levels that are reached, each once.

-- What an organization may use of a metric: its own limit, else its plan's (its own prices included).
create function tenantry.usage_limit(p_tenant uuid, p_metric text) returns table (quantity numeric, hard boolean, period text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select l.quantity, l.hard, l.period from tenantry.limits l
      where l.tenant_id = p_tenant and l.principal_id = p_tenant and l.metric = p_metric
    union all
    select g.included, g.hard, g.period from tenantry.plan_limit(p_tenant, p_metric) g
      where not exists (select from tenantry.limits l
        where l.tenant_id = p_tenant and l.principal_id = p_tenant and l.metric = p_metric and l.period = g.period);
end $$;

-- The same for the organization of the context, which its plan's tables would not show to everybody.
create function tenantry.caller_usage_limit(p_metric text) returns table (quantity numeric, hard boolean, period text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query select * from tenantry.usage_limit(tenantry.current_tenant(), p_metric);
end $$;

-- Tells of the levels that the counter of an organization or namespace has reached, and says when to look again. The caller holds
-- the counter's row, so two never look at once; the unique key of usage_alerts outlasts refunds, raised limits and crashes. Of a
-- counter that is running both are looked at, first the day and then the month: counting asks the day's row for both. A month that is
-- looked at beside an earlier day changes the running one, which the caller then keeps from others by the account.
create function tenantry.check_usage_alerts(p_tenant uuid, p_namespace uuid, p_metric text, p_period text, p_start timestamptz) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  c tenantry.usage_periods;
  q numeric;
  l numeric;
  next_at numeric := 'infinity';
  alert_id uuid;
begin
  perform from tenantry.usage_counters p where p.tenant_id = p_tenant and p.namespace_id = p_namespace
    and p.metric = p_metric and p.period = p_period and p.period_start = p_start for update;
  if not found then
    return;
  end if;
  select * into c from tenantry.usage_periods p where p.tenant_id = p_tenant and p.namespace_id = p_namespace
    and p.metric = p_metric and p.period = p_period and p.period_start = p_start;
  for q, l in
    select x.quantity, v.level
      from (
        select o.quantity, o.period from tenantry.usage_limit(p_tenant, p_metric) o where p_namespace = nil
        union all
        select own.quantity, own.period from tenantry.namespaces n
          cross join lateral tenantry.named_limits(n.limits, p_metric, coalesce((select min(g.period) from tenantry.plan_limit(p_tenant, p_metric) g), 'month')) own
          where n.tenant_id = p_tenant and n.id = p_namespace) x
      cross join lateral unnest(coalesce(
        (select o.levels from tenantry.usage_alert_levels o where o.tenant_id = p_tenant and o.metric = p_metric),
        (select m.alert_levels from tenantry.metrics m where m.name = p_metric))) v(level)
      where x.period = p_period and x.quantity is not null
      order by v.level
  loop
    if c.value > 0 and c.value >= q * l / 100 then
      insert into tenantry.usage_alerts (tenant_id, namespace_id, metric, period, period_start, period_end, level, quantity, value)
        values (p_tenant, p_namespace, p_metric, p_period, c.period_start, c.period_end, l, q, c.value)
        on conflict (tenant_id, namespace_id, metric, period, period_start, level) do nothing returning id into alert_id;
      if found then
        perform tenantry.emit(p_tenant, 'usage.alert', jsonb_build_object('alertId', alert_id, 'namespaceId', nullif(p_namespace, nil), 'metric', p_metric,
            'period', p_period, 'periodStart', c.period_start, 'periodEnd', c.period_end, 'level', l, 'limit', q, 'value', c.value),
          format('usage.alert:%s%s:%s:%s:%s', nullif(p_namespace, nil)::text || ':', p_metric, p_period, extract(epoch from c.period_start)::bigint, trim_scale(l)));
      end if;
    else
      next_at := least(next_at, q * l / 100);
    end if;
  end loop;
  update tenantry.usage_counters p set alert_at = next_at, alert_checked_at = clock_timestamp()
    where p.tenant_id = p_tenant and p.namespace_id = p_namespace and p.metric = p_metric and p.period = p_period and p.period_start = p_start;
  if p_period = 'month' then
    update tenantry.usage_counters d set alert_at = least(d.alert_at, next_at - c.value + d.value)
      from tenantry.usage_accounts a
      where a.tenant_id = p_tenant and a.month_start = p_start and d.tenant_id = p_tenant and d.namespace_id = p_namespace and d.metric = p_metric
        and d.period = 'day' and d.period_start = a.day_start and d.folded is not null and d.alert_at is not null;
  end if;
end $$;

-- What counting found due: days at their level, or at their month's, days and months that are new, and once an hour anyway, because
-- plans also change by the calendar. First every month is locked, and made where it is not there yet; then alerts lock what they do.
create function tenantry.tell_usage_alerts(p_tenants uuid[], p_namespaces uuid[], p_metrics text[], p_aggregations text[],
  p_day_starts timestamptz[], p_month_starts timestamptz[], p_month_ends timestamptz[], p_past boolean[], p_gauges tenantry.usage_counters[], p_at timestamptz)
returns void language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  due record;
begin
  for due in
    with counted as (
      select distinct d.tenant_id, d.namespace_id, d.metric, d.period_start as day_start, p_month_starts[l.lane] as month_start, p_month_ends[l.lane] as month_end
      from generate_subscripts(p_tenants, 1) l(lane)
      cross join lateral (values ('00000000-0000-0000-0000-000000000000'::uuid), (p_namespaces[l.lane])) x(scope)
      join tenantry.usage_counters d on d.tenant_id = p_tenants[l.lane] and d.namespace_id = x.scope and d.metric = p_metrics[l.lane] collate "C"
        and d.period = 'day' and d.period_start = p_day_starts[l.lane]
      where p_aggregations[l.lane] in ('sum', 'count')
        and (p_past[l.lane] or d.alert_at is null or d.value >= d.alert_at or d.alert_checked_at < p_at - interval '1 hour')
    ), months as (
      insert into tenantry.usage_counters as m (tenant_id, namespace_id, metric, period, period_start, period_end)
        select c.tenant_id, c.namespace_id, c.metric, 'month', c.month_start, max(c.month_end) from counted c
        group by 1, 2, 3, 5 order by 1, 2, 3, 5
        on conflict (tenant_id, namespace_id, metric, period, period_start) do update set period_end = m.period_end
        returning m.tenant_id, m.namespace_id, m.metric, m.period, m.period_start
    )
    select m.tenant_id, m.namespace_id, m.metric, m.period, m.period_start from months m
    union
    select c.tenant_id, c.namespace_id, c.metric, 'day', c.day_start from counted c
    union
    select g.tenant_id, g.namespace_id, g.metric, g.period, g.period_start from unnest(p_gauges) g
    order by 1, 2, 3, 4, 5
  loop
    perform tenantry.check_usage_alerts(due.tenant_id, due.namespace_id, due.metric, due.period, due.period_start);
  end loop;
end $$;

-- A limit or plan has changed: what the organization is due under the new one is told at once, and when to look next is found out
-- anew; of its namespaces, of which there may be thousands, with their next event. A namespace's own limit has changed: the same for it.
create function tenantry.refresh_usage_alerts(p_tenant uuid, p_namespace uuid default '00000000-0000-0000-0000-000000000000') returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  c record;
begin
  perform from tenantry.usage_accounts a where a.tenant_id = p_tenant for update;
  if not found then
    return;
  end if;
  for c in select p.metric, p.period, p.period_start from tenantry.usage_counters p
    where p.tenant_id = p_tenant and p.namespace_id = p_namespace and p.period_end > clock_timestamp()
    order by 1, 2, 3
  loop
    perform tenantry.check_usage_alerts(p_tenant, p_namespace, c.metric, c.period, c.period_start);
  end loop;
  if p_namespace = nil then
    update tenantry.usage_counters p set alert_at = null
      where p.tenant_id = p_tenant and p.namespace_id <> nil and p.period_end > clock_timestamp() and p.alert_at is not null;
  end if;
end $$;

create function tenantry.usage_namespace_changed() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  perform tenantry.refresh_usage_alerts(new.tenant_id, new.id);
  return null;
end $$;
create trigger usage_limits after update of limits on tenantry.namespaces
  for each row when (new.limits is distinct from old.limits) execute function tenantry.usage_namespace_changed();

grant execute on function tenantry.caller_usage_limit(text) to tenantry_app, tenantry_operator;
