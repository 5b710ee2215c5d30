-- Counting: the one way into the ledger and the counters.

-- ── accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Before anything is counted: a context speaks for its own organization and namespace, and a user without one for none.
create function tenantry.assert_usage_context(p_tenants uuid[], p_namespaces uuid[]) returns void language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  own constant uuid := tenantry.context_tenant();
  confined constant uuid := tenantry.current_namespace();
begin
  if own is null and tenantry.current_user_id() is not null or (own = all (p_tenants)) is false or (own is not null and array_position(p_tenants, null) > 0)
    or confined is not null and (array_position(p_namespaces, null) > 0 or (confined = all (p_namespaces)) is not true) then
    raise exception 'usage is counted for the organization and namespace of the context alone' using errcode = '42501';
  end if;
end $$;

-- Puts the running day into its month, of which it was a part only for who reads it. The caller has the account for itself.
create function tenantry.fold_usage_day(p_tenant uuid) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  a tenantry.usage_accounts;
begin
  select * into a from tenantry.usage_accounts x where x.tenant_id = p_tenant;
  insert into tenantry.usage_counters as m (tenant_id, namespace_id, metric, period, period_start, period_end, value, events)
    select p_tenant, d.namespace_id, d.metric, 'month', a.month_start, a.month_end, d.value - d.folded, d.events - d.folded_events
    from tenantry.usage_counters d
    where d.tenant_id = p_tenant and d.period = 'day' and d.period_start = a.day_start and d.folded is not null
      and (d.folded, d.folded_events) <> (d.value, d.events)
    order by 2, 3
    on conflict (tenant_id, namespace_id, metric, period, period_start)
      do update set value = m.value + excluded.value, events = m.events + excluded.events;
  update tenantry.usage_counters d set folded = d.value, folded_events = d.events
    where d.tenant_id = p_tenant and d.period = 'day' and d.period_start = a.day_start and d.folded is not null
      and (d.folded, d.folded_events) <> (d.value, d.events);
end $$;

-- Locks accounts in one order, makes those that are missing and moves those whose day is over.
create function tenantry.open_usage_accounts(p_tenants uuid[]) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  at timestamptz := clock_timestamp();
  t uuid;
  zone text;
  a tenantry.usage_accounts;
  p text;
begin
  foreach t in array p_tenants loop
    continue when exists (select from tenantry.usage_accounts x where x.tenant_id = t and x.day_end > at and x.month_end > at);
    select * into a from tenantry.usage_accounts x where x.tenant_id = t for update;
    continue when a.day_end > at and a.month_end > at;
    zone := tenantry.tenant_time_zone(t);
    if a.tenant_id is null then
      perform from tenantry.organizations o where o.id = t for key share;
      continue when not found;
      insert into tenantry.usage_zones (tenant_id, period, valid_from, time_zone)
        values (t, 'day', '-infinity', zone), (t, 'month', '-infinity', zone) on conflict do nothing;
    else
      perform tenantry.fold_usage_day(t);
      -- a day that lasts longer than its month, where the time zone has changed, looks at the next one's levels
      update tenantry.usage_counters d set alert_at = null
        where d.tenant_id = t and d.period = 'day' and d.period_start = a.day_start and d.folded is not null;
      foreach p in array array['day', 'month'] loop
        if zone is distinct from (select z.time_zone from tenantry.usage_zones z where z.tenant_id = t and z.period = p order by z.valid_from desc limit 1) then
          insert into tenantry.usage_zones (tenant_id, period, valid_from, time_zone)
            values (t, p, case p when 'day' then a.day_end else a.month_end end, zone)
            on conflict (tenant_id, period, valid_from) do update set time_zone = excluded.time_zone;
        end if;
      end loop;
    end if;
    insert into tenantry.usage_accounts as x (tenant_id, day_start, day_end, month_start, month_end)
      select t, d.period_start, d.period_end, m.period_start, m.period_end
        from tenantry.usage_edges(t, 'day', at) d, tenantry.usage_edges(t, 'month', at) m
      on conflict (tenant_id) do update set day_start = excluded.day_start, day_end = excluded.day_end,
        month_start = excluded.month_start, month_end = excluded.month_end;
  end loop;
end $$;

-- What count_usage() asks for by '!', in a transaction of its own: whoever counts holds accounts shared, and two who both want
-- more would wait for each other.
create function tenantry.open_usage(p_tenants uuid[]) returns void language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  perform tenantry.assert_usage_context(p_tenants, '{}');
  perform tenantry.open_usage_accounts(array(select distinct t from unnest(p_tenants) t where t is not null order by t));
end $$;

-- ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Max, last and unique: the same as the sums in count_usage(), for one counter after the other; there are few such events.
create function tenantry.count_usage_gauge(p_tenant uuid, p_metric text, p_aggregation text, p_scope uuid, p_key boolean, p_period text,
  p_start timestamptz, p_end timestamptz, p_quantities numeric[], p_subjects text[], p_instants timestamptz[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v numeric;
  newest timestamptz;
begin
  case p_aggregation
    when 'max' then
      select max(q) into v from unnest(p_quantities) q;
    when 'last' then
      select q, i into v, newest from unnest(p_quantities, p_instants) x(q, i) order by i desc, q desc limit 1;
    else
      with made as (
        insert into tenantry.usage_subjects (tenant_id, scope_id, metric, period, period_start, subject)
          select distinct p_tenant, p_scope, p_metric, p_period, p_start, s from unnest(p_subjects) s order by s
          on conflict do nothing returning 1)
      select count(*) into v from made;
  end case;
  if p_key then
    insert into tenantry.usage_key_periods as p (tenant_id, api_key_id, metric, period, period_start, period_end, value, events, last_at)
      values (p_tenant, p_scope, p_metric, p_period, p_start, p_end, v, cardinality(p_quantities), newest)
      on conflict (tenant_id, api_key_id, metric, period, period_start) do update set events = p.events + excluded.events,
        value = case p_aggregation when 'max' then greatest(p.value, excluded.value) when 'unique' then p.value + excluded.value
          else case when p.last_at > excluded.last_at then p.value else excluded.value end end,
        last_at = greatest(p.last_at, excluded.last_at);
  else
    insert into tenantry.usage_counters as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events, folded, folded_events, last_at)
      values (p_tenant, p_scope, p_metric, p_period, p_start, p_end, v, cardinality(p_quantities), null, null, newest)
      on conflict (tenant_id, namespace_id, metric, period, period_start) do update set events = p.events + excluded.events,
        value = case p_aggregation when 'max' then greatest(p.value, excluded.value) when 'unique' then p.value + excluded.value
          else case when p.last_at > excluded.last_at then p.value else excluded.value end end,
        last_at = greatest(p.last_at, excluded.last_at);
  end if;
end $$;

-- Keys, and metrics that are not added up: apart, so that the usual batch pays nothing for them. Returns the counters of the latter.
create function tenantry.count_usage_rest(p_tenants uuid[], p_namespaces uuid[], p_keys uuid[], p_metrics text[], p_aggregations text[],
  p_slots timestamptz[], p_day_starts timestamptz[], p_day_ends timestamptz[], p_month_starts timestamptz[], p_month_ends timestamptz[],
  p_lanes integer[], p_offsets integer[], p_quantities numeric[], p_subjects text[]) returns tenantry.usage_counters[]
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  counted tenantry.usage_counters[] := '{}';
  g record;
begin
  insert into tenantry.usage_key_periods as p (tenant_id, api_key_id, metric, period, period_start, period_end, value, events)
    select p_tenants[c.lane], p_keys[c.lane], p_metrics[c.lane], x.period, x.period_start, max(x.period_end),
      sum(case p_aggregations[c.lane] when 'count' then 1 else coalesce(c.quantity, 1) end), count(*)
    from unnest(p_lanes, p_quantities) c(lane, quantity)
    cross join lateral (values ('day', p_day_starts[c.lane], p_day_ends[c.lane]), ('month', p_month_starts[c.lane], p_month_ends[c.lane])) x(period, period_start, period_end)
    where p_keys[c.lane] is not null and p_aggregations[c.lane] in ('sum', 'count')
    group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
    on conflict (tenant_id, api_key_id, metric, period, period_start) do update set value = p.value + excluded.value, events = p.events + excluded.events;

  for g in
    select p_tenants[c.lane] as tenant_id, x.scope, x.of_key, p_metrics[c.lane] as metric, p_aggregations[c.lane] as aggregation,
      x.period, x.period_start, max(x.period_end) as period_end, array_agg(coalesce(c.quantity, 1)) as quantities,
      array_agg(c.subject) as subjects, array_agg(p_slots[c.lane] + c.ms * interval '1 millisecond') as instants
    from unnest(p_lanes, p_offsets, p_quantities, p_subjects) c(lane, ms, quantity, subject)
    cross join lateral (values (nil, false, 'day', p_day_starts[c.lane], p_day_ends[c.lane]), (nil, false, 'month', p_month_starts[c.lane], p_month_ends[c.lane]),
      (p_namespaces[c.lane], false, 'day', p_day_starts[c.lane], p_day_ends[c.lane]),
      (p_namespaces[c.lane], false, 'month', p_month_starts[c.lane], p_month_ends[c.lane]),
      (p_keys[c.lane], true, 'day', p_day_starts[c.lane], p_day_ends[c.lane]),
      (p_keys[c.lane], true, 'month', p_month_starts[c.lane], p_month_ends[c.lane])) x(scope, of_key, period, period_start, period_end)
    where x.scope is not null and p_aggregations[c.lane] in ('max', 'last', 'unique')
    group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
  loop
    perform tenantry.count_usage_gauge(g.tenant_id, g.metric, g.aggregation, g.scope, g.of_key, g.period, g.period_start, g.period_end,
      g.quantities, g.subjects, g.instants);
    if not g.of_key then
      counted := counted || (select p from tenantry.usage_counters p where p.tenant_id = g.tenant_id and p.namespace_id = g.scope
        and p.metric = g.metric and p.period = g.period and p.period_start = g.period_start);
    end if;
  end loop;
  return counted;
end $$;

-- The batch that is not usual, one event looked at after the other: late ones, keys and namespaces that may be wrong, metrics that are
-- not added up, ids that are known. Inserts what can be, and returns what there is to count; nothing: there is only the answer.
create function tenantry.count_usage_closely(p_tenants uuid[], p_namespaces uuid[], p_keys uuid[], p_metrics text[], p_slots bigint[],
  p_lanes integer[], p_ids text[], p_offsets integer[], p_quantities numeric[], p_subjects text[], p_at timestamptz,
  out answer text, out lanes integer[], out offsets integer[], out quantities numeric[], out subjects text[], out aggregations text[], out slots timestamptz[],
  out day_starts timestamptz[], out day_ends timestamptz[], out month_starts timestamptz[], out month_ends timestamptz[], out past boolean[], out late boolean, out gauges boolean)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  states text[];
  closed timestamptz[];
  edge record;
  made integer;
  made_tenants uuid[];
  made_ids text[];
begin
  if exists (select from tenantry.organizations o where o.id = any (p_tenants) and not exists (
    select from tenantry.usage_accounts a where a.tenant_id = o.id and a.day_end > p_at and a.month_end > p_at)) then
    answer := '!';
    return;
  end if;
  select array_agg(x.state order by x.lane), array_agg(x.aggregation order by x.lane), array_agg(x.slot order by x.lane), array_agg(x.day_start order by x.lane),
      array_agg(x.day_end order by x.lane), array_agg(x.month_start order by x.lane), array_agg(x.month_end order by x.lane),
      array_agg(x.closed_until order by x.lane), array_agg(x.day_start is null or x.month_start is null order by x.lane),
      bool_or(x.aggregation in ('max', 'last', 'unique'))
    into states, aggregations, slots, day_starts, day_ends, month_starts, month_ends, closed, past, gauges
    from (
      select l.lane, m.aggregation, s.slot, a.closed_until, a.day_end, a.month_end,
        case when a.tenant_id is null then 't' when m.name is null then 'm'
          when l.namespace_id is not null and not exists (select from tenantry.namespaces n where n.tenant_id = l.tenant_id and n.id = l.namespace_id) then 'n'
          when l.api_key_id is not null and not exists (select from tenantry.api_keys k where k.tenant_id = l.tenant_id and k.id = l.api_key_id) then 'k'
          when s.slot < a.kept_since or s.slot < timestamptz '2000-01-01 00:00Z' then 'o'
          when s.slot > p_at + interval '1 hour' then 'f' else 'c' end as state,
        case when s.slot >= a.day_start and s.slot < a.day_end then a.day_start end as day_start,
        case when s.slot >= a.month_start and s.slot < a.month_end then a.month_start end as month_start
      from unnest(p_tenants, p_namespaces, p_keys, p_metrics, p_slots) with ordinality l(tenant_id, namespace_id, api_key_id, metric, slot, lane)
      cross join lateral (select to_timestamp(l.slot * 900.0) as slot) s
      left join tenantry.usage_accounts a on a.tenant_id = l.tenant_id
      left join tenantry.metrics m on m.name = l.metric collate "C") x;
  for i in 1 .. coalesce(cardinality(states), 0) loop
    continue when states[i] <> 'c' or (day_starts[i] is not null and month_starts[i] is not null);
    -- INTO takes no element of an array
    select * into edge from tenantry.usage_edges(p_tenants[i], 'day', slots[i]);
    day_starts[i] := edge.period_start;
    day_ends[i] := edge.period_end;
    select * into edge from tenantry.usage_edges(p_tenants[i], 'month', slots[i]);
    month_starts[i] := edge.period_start;
    month_ends[i] := edge.period_end;
  end loop;

  with made as (
    insert into tenantry.usage_events (tenant_id, id, metric, namespace_id, api_key_id, subject, quantity, occurred_at, received_at)
      select p_tenants[e.lane], e.id, p_metrics[e.lane], p_namespaces[e.lane], p_keys[e.lane], e.subject, coalesce(e.quantity, 1),
        slots[e.lane] + e.ms * interval '1 millisecond', p_at
      from unnest(p_lanes, p_ids, p_offsets, p_quantities, p_subjects) e(lane, id, ms, quantity, subject)
      where states[e.lane] = 'c' and (aggregations[e.lane] <> 'unique' or e.subject is not null)
      order by 1, e.id collate "C"
      on conflict (tenant_id, id) do nothing
      returning tenant_id, id)
  select count(*), array_agg(m.tenant_id), array_agg(m.id) into made, made_tenants, made_ids from made m;
  if made = cardinality(p_lanes) then
    lanes := p_lanes;
    offsets := p_offsets;
    quantities := p_quantities;
    subjects := p_subjects;
  else
    select string_agg(x.state, '' order by x.place), array_agg(x.lane order by x.place) filter (where x.state = 'c'),
        array_agg(x.ms order by x.place) filter (where x.state = 'c'), array_agg(x.quantity order by x.place) filter (where x.state = 'c'),
        array_agg(x.subject order by x.place) filter (where x.state = 'c')
      into answer, lanes, offsets, quantities, subjects
      from (
        select e.place, e.lane, e.ms, e.quantity, e.subject,
          case when states[e.lane] is null then 'x' when states[e.lane] <> 'c' then states[e.lane]
            when aggregations[e.lane] = 'unique' and e.subject is null then 's'
            -- an id that is twice in the batch was inserted once
            when (p_tenants[e.lane], e.id) in (select m.t, m.id from unnest(made_tenants, made_ids) m(t, id))
              and row_number() over (partition by p_tenants[e.lane], e.id order by e.place) = 1 then 'c'
            when u.metric = p_metrics[e.lane] and u.quantity = coalesce(e.quantity, 1) and u.corrects is null
              and (u.namespace_id, u.api_key_id, u.subject) is not distinct from (p_namespaces[e.lane], p_keys[e.lane], e.subject) then 'd'
            else 'x' end as state
        from unnest(p_lanes, p_ids, p_offsets, p_quantities, p_subjects) with ordinality e(lane, id, ms, quantity, subject, place)
        left join tenantry.usage_events u on u.tenant_id = p_tenants[e.lane] and u.id = e.id collate "C") x;
  end if;
  late := exists (select from unnest(lanes) c(lane) where slots[c.lane] < closed[c.lane]);
end $$;

-- Events of another day or month than the running one have been counted to their day: here to their month as well.
create function tenantry.count_usage_past(p_tenants uuid[], p_namespaces uuid[], p_metrics text[], p_aggregations text[],
  p_day_starts timestamptz[], p_month_starts timestamptz[], p_month_ends timestamptz[], p_past boolean[], p_lanes integer[], p_quantities numeric[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  with sums as (
    select p_tenants[c.lane] as tenant_id, x.scope, p_metrics[c.lane] as metric, p_day_starts[c.lane] as day_start, p_month_starts[c.lane] as month_start,
      p_month_ends[c.lane] as month_end, sum(case p_aggregations[c.lane] when 'count' then 1 else coalesce(c.quantity, 1) end) as value, count(*) as events
    from unnest(p_lanes, p_quantities) c(lane, quantity)
    cross join lateral (values ('00000000-0000-0000-0000-000000000000'::uuid), (p_namespaces[c.lane])) x(scope)
    where p_past[c.lane] and p_aggregations[c.lane] in ('sum', 'count') and x.scope is not null
    group by 1, 2, 3, 4, 5, 6
  ), days as (
    update tenantry.usage_counters d set folded = d.folded + s.value, folded_events = d.folded_events + s.events
      from (select y.tenant_id, y.scope, y.metric, y.day_start, sum(y.value) as value, sum(y.events) as events from sums y group by 1, 2, 3, 4) s
      where d.tenant_id = s.tenant_id and d.namespace_id = s.scope and d.metric = s.metric and d.period = 'day' and d.period_start = s.day_start
  )
  insert into tenantry.usage_counters as m (tenant_id, namespace_id, metric, period, period_start, period_end, value, events)
    select s.tenant_id, s.scope, s.metric, 'month', s.month_start, max(s.month_end), sum(s.value), sum(s.events) from sums s
    group by 1, 2, 3, 5 order by 1, 2, 3, 5
    on conflict (tenant_id, namespace_id, metric, period, period_start)
      do update set value = m.value + excluded.value, events = m.events + excluded.events;
end $$;

-- Keeps the accounts from everybody else who counts. A transaction that has written before may have counted as well, and whoever waits
-- for what it counted holds the account: it does not wait for them. If both then want what the other has, the server ends one.
create function tenantry.hold_usage_accounts(p_tenants uuid[]) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
begin
  if pg_current_xact_id_if_assigned() is null then
    perform from tenantry.usage_accounts a where a.tenant_id = any (p_tenants) order by a.tenant_id for update;
    return;
  end if;
  begin
    perform from tenantry.usage_accounts a where a.tenant_id = any (p_tenants) order by a.tenant_id for update nowait;
  exception when lock_not_available then
    null;
  end;
end $$;

-- Counts a batch of events in one transaction. Lanes are what events share (organization, namespace, key, metric, quarter
-- of an hour); p_ids holds one id per line, p_offsets milliseconds from the lane's quarter. Locks in one order, so that
-- batches wait for one another and never in a circle: accounts, events, days, months, each sorted; and what alerts lock, sorted too.
-- An event of the running day touches the counter of its day alone; whoever reads the month adds the day to it (usage_periods).
-- A caller in an organization's context counts for it alone; only one without any context carries several.
-- p_fresh: no id is expected to be known, and the insert is plain, which costs less; where one is known after all, it is done again.
-- Each expression costs a small batch as much as an event does: what is not usual is looked at elsewhere.
-- Answers '' when all were counted, '!' when nothing was done because an account's day is over: open_usage() first;
-- else a letter per event: c counted, d recorded before, x another event has this id, t m n k unknown organization, metric,
-- namespace, key, s a subject is missing, o too old, f in the future.
create function tenantry.count_usage(p_tenants uuid[], p_namespaces uuid[], p_keys uuid[], p_metrics text[], p_slots bigint[],
  p_lanes integer[], p_ids text, p_offsets integer[], p_quantities numeric[] default null, p_subjects text[] default null,
  p_fresh boolean default false) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  at constant timestamptz := clock_timestamp();
  ids constant text[] := string_to_array(p_ids, E'\n');
  usual boolean;
  more boolean;
  late boolean;
  alerting boolean;
  scopes boolean[] := '{false}'; -- the organization's counter, and its namespace's
  past boolean[];
  aggregations text[];
  slots timestamptz[];
  day_starts timestamptz[];
  day_ends timestamptz[];
  month_starts timestamptz[];
  month_ends timestamptz[];
  gauges tenantry.usage_counters[];
  answer text;
begin
  if concat(current_setting('app.tenant_id', true), current_setting('app.user_id', true), current_setting('app.namespace_id', true)) <> '' then
    perform tenantry.assert_usage_context(p_tenants, p_namespaces);
    if tenantry.context_tenant() is not null then
      -- within somebody's transaction, which '!' could not end: before the account is held
      perform tenantry.open_usage_accounts(p_tenants[1:1]);
    end if;
  end if;
  if (cardinality(p_lanes) = cardinality(ids) and cardinality(p_lanes) = cardinality(p_offsets) and 0 <= all (p_offsets) and 900000 > all (p_offsets)
    and cardinality(p_lanes) = coalesce(cardinality(p_quantities), cardinality(p_lanes))
    and cardinality(p_lanes) = coalesce(cardinality(p_subjects), cardinality(p_lanes))) is not true then
    raise exception 'the arrays of events do not fit together' using errcode = '22023';
  end if;

  -- Days that are over change what the running one has to go to its month's next level: nobody counts there meanwhile. Days begin with
  -- a quarter of an hour, so what came in the running quarter is in the running day.
  if (floor(extract(epoch from at) / 900) <= all (p_slots)) is not true then
    perform tenantry.hold_usage_accounts(p_tenants);
  end if;
  with held as materialized (
    select a.tenant_id, a.day_start, a.day_end, a.month_start, a.month_end, a.kept_since, a.closed_until
      from tenantry.usage_accounts a where a.tenant_id = any (p_tenants) order by a.tenant_id for share
  )
  select count(*) = cardinality(p_tenants) and bool_and(x.aggregation in ('sum', 'count') and least(x.day_end, x.month_end) > at
        and x.slot >= greatest(x.day_start, x.month_start, x.kept_since, x.closed_until) and x.slot < least(x.day_end, x.month_end, at + interval '1 hour')),
      array_agg(x.aggregation), array_agg(x.day_start), array_agg(x.day_end), array_agg(x.month_start), array_agg(x.month_end)
    into usual, aggregations, day_starts, day_ends, month_starts, month_ends
    from (
      select m.aggregation, to_timestamp(l.slot * 900.0) as slot, a.*
      from unnest(p_tenants, p_metrics, p_slots) with ordinality l(tenant_id, metric, slot, lane)
      join held a on a.tenant_id = l.tenant_id
      join tenantry.metrics m on m.name = l.metric collate "C"
      order by l.lane) x;
  if cardinality(array_remove(p_namespaces, null)) > 0 or cardinality(array_remove(p_keys, null)) > 0 then
    more := cardinality(array_remove(p_keys, null)) > 0;
    scopes := '{false,true}';
    usual := usual and not exists (select from unnest(p_tenants, p_namespaces, p_keys) l(tenant_id, namespace_id, api_key_id)
      where l.namespace_id is not null and not exists (select from tenantry.namespaces n where n.tenant_id = l.tenant_id and n.id = l.namespace_id)
        or l.api_key_id is not null and not exists (select from tenantry.api_keys k where k.tenant_id = l.tenant_id and k.id = l.api_key_id));
  end if;

  if usual and p_fresh then
    begin
      insert into tenantry.usage_events (tenant_id, id, metric, namespace_id, api_key_id, subject, quantity, occurred_at, received_at)
        select p_tenants[e.lane], e.id, p_metrics[e.lane], p_namespaces[e.lane], p_keys[e.lane], e.subject, coalesce(e.quantity, 1),
          to_timestamp(p_slots[e.lane] * 900.0) + e.ms * interval '1 millisecond', at
        from unnest(p_lanes, ids, p_offsets, p_quantities, p_subjects) e(lane, id, ms, quantity, subject)
        order by 1, e.id collate "C";
    exception when unique_violation then
      usual := false;
    end;
  else
    usual := false;
  end if;
  if not usual then
    select f.answer, f.lanes, f.offsets, f.quantities, f.subjects, f.aggregations, f.slots, f.day_starts, f.day_ends, f.month_starts, f.month_ends,
        f.past, more or f.gauges, f.late
      into answer, p_lanes, p_offsets, p_quantities, p_subjects, aggregations, slots, day_starts, day_ends, month_starts, month_ends, past, more, late
      from tenantry.count_usage_closely(p_tenants, p_namespaces, p_keys, p_metrics, p_slots, p_lanes, ids, p_offsets, p_quantities, p_subjects, at) f;
    if p_lanes is null then
      return answer;
    end if;
  end if;

  if more then
    gauges := tenantry.count_usage_rest(p_tenants, p_namespaces, p_keys, p_metrics, aggregations, slots, day_starts, day_ends,
      month_starts, month_ends, p_lanes, p_offsets, p_quantities, p_subjects);
  end if;
  with kept as (
    insert into tenantry.usage_counters as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events)
      select p_tenants[c.lane], case when x.own then p_namespaces[c.lane] else '00000000-0000-0000-0000-000000000000' end, p_metrics[c.lane], 'day',
        day_starts[c.lane], max(day_ends[c.lane]), sum(case aggregations[c.lane] when 'count' then 1 else coalesce(c.quantity, 1) end), count(*)
      from unnest(p_lanes, p_quantities) c(lane, quantity) cross join unnest(scopes) x(own)
      where aggregations[c.lane] in ('sum', 'count') and (not x.own or p_namespaces[c.lane] is not null)
      group by 1, 2, 3, 5 order by 1, 2, 3, 5
      on conflict (tenant_id, namespace_id, metric, period, period_start)
        do update set value = p.value + excluded.value, events = p.events + excluded.events
      returning p.alert_at is null or p.value >= p.alert_at or p.alert_checked_at < at - interval '1 hour' as is_due
  )
  select bool_or(k.is_due) into alerting from kept k;
  if true = any (past) then
    perform tenantry.count_usage_past(p_tenants, p_namespaces, p_metrics, aggregations, day_starts, month_starts, month_ends, past, p_lanes, p_quantities);
  end if;
  if alerting or true = any (past) or gauges is not null then
    perform tenantry.tell_usage_alerts(p_tenants, p_namespaces, p_metrics, aggregations, day_starts, month_starts, month_ends, past, gauges, at);
  end if;

  if late then
    insert into tenantry.usage_corrections (tenant_id, namespace_id, metric, day_start, day_end, quantity, events, cause)
      select p_tenants[c.lane], p_namespaces[c.lane], p_metrics[c.lane], day_starts[c.lane], max(day_ends[c.lane]),
        sum(case aggregations[c.lane] when 'sum' then coalesce(c.quantity, 1) when 'count' then 1 else 0 end), count(*), 'late'
      from unnest(p_lanes, p_offsets, p_quantities) c(lane, ms, quantity)
      where slots[c.lane] + c.ms * interval '1 millisecond' < (select a.closed_until from tenantry.usage_accounts a where a.tenant_id = p_tenants[c.lane])
      group by 1, 2, 3, 4;
  end if;
  return coalesce(answer, '');
end $$;

grant execute on function tenantry.count_usage(uuid[], uuid[], uuid[], text[], bigint[], integer[], text, integer[], numeric[], text[], boolean),
  tenantry.open_usage(uuid[]) to tenantry_app, tenantry_operator;
