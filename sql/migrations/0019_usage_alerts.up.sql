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
-- the counter's row, so two never look at once; the unique key of usage_alerts outlasts refunds, raised limits and crashes.
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
  select * into c from tenantry.usage_periods p where p.tenant_id = p_tenant and p.namespace_id = p_namespace
    and p.metric = p_metric and p.period = p_period and p.period_start = p_start for update;
  if not found then
    return;
  end if;
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
  update tenantry.usage_periods p set alert_at = next_at, alert_checked_at = clock_timestamp()
    where p.tenant_id = p_tenant and p.namespace_id = c.namespace_id and p.metric = p_metric and p.period = p_period and p.period_start = p_start;
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
  for c in select p.metric, p.period, p.period_start from tenantry.usage_periods p
    where p.tenant_id = p_tenant and p.namespace_id = p_namespace and p.period_end > clock_timestamp()
    order by 1, 2, 3
  loop
    perform tenantry.check_usage_alerts(p_tenant, p_namespace, c.metric, c.period, c.period_start);
  end loop;
  if p_namespace = nil then
    update tenantry.usage_periods p set alert_at = null
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
