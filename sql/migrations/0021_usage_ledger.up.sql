-- Usage: what was wrong is corrected beside the ledger, the counters are compared with it, and limits, bills and operators read them.

-- ── corrections ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Corrects an event: to another quantity, or away with it (null). The original stays; the difference is a row beside it.
-- It changes bills: whoever acts as a user, a key or an end user holds usage.write; the organization's own code need not.
-- c corrected, d done before, x another event has this id, u unknown event, r retracted before.
create function tenantry.correct_usage(p_id text, p_event text, p_quantity numeric, p_reason text) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  t uuid := tenantry.current_tenant();
  a tenantry.usage_accounts;
  o tenantry.usage_events;
  x tenantry.usage_events;
  m text;
  held numeric;
  alive bigint;
  delta numeric;
  step integer := case when p_quantity is null then -1 else 0 end;
  own_code boolean := tenantry.caller_principals() = array[tenantry.context_tenant()];
  e record;
begin
  if t is null then
    raise exception 'usage is corrected for the organization of the context' using errcode = '42501';
  end if;
  if not own_code and not tenantry.caller_can('usage.write') then
    raise exception 'takes the permission usage.write' using errcode = '42501';
  end if;
  select * into a from tenantry.usage_accounts y where y.tenant_id = t for update; -- nobody counts for it meanwhile
  select * into o from tenantry.usage_events y where y.tenant_id = t and y.id = p_event;
  if o.id is null or o.corrects is not null
    or tenantry.current_namespace() is not null and o.namespace_id is distinct from tenantry.current_namespace() then
    return 'u';
  end if;
  select * into x from tenantry.usage_events y where y.tenant_id = t and y.id = p_id;
  if x.id is not null then
    return case when x.corrects = p_event and x.events = step then 'd' else 'x' end;
  end if;
  select sum(y.quantity), sum(y.events) into held, alive from tenantry.usage_events y where y.tenant_id = t and (y.id = p_event or y.corrects = p_event);
  if alive <= 0 then
    return 'r';
  end if;
  delta := coalesce(p_quantity, 0) - held;
  perform tenantry.fold_usage_day(t);
  if not own_code then -- it says what it did in the ledger alone
    insert into tenantry.audit_log (tenant_id, action, details)
      values (t, case step when 0 then 'usage.amend' else 'usage.retract' end, jsonb_build_object('id', p_id, 'eventId', p_event, 'metric', o.metric,
        'before', trim_scale(held)::text, 'quantity', trim_scale(p_quantity)::text, 'reason', p_reason));
  end if;
  insert into tenantry.usage_events (tenant_id, id, metric, namespace_id, api_key_id, subject, quantity, events, occurred_at, corrects, reason)
    values (t, p_id, o.metric, o.namespace_id, o.api_key_id, o.subject, delta, step, o.occurred_at, p_event, p_reason);
  select y.aggregation into m from tenantry.metrics y where y.name = o.metric;
  if m = 'count' then
    delta := step;
  elsif m <> 'sum' then
    delta := 0;
  end if;

  for e in
    select p.period, d.period_start, d.period_end from unnest(array['day', 'month']) p(period)
      cross join lateral tenantry.usage_edges(t, p.period, o.occurred_at) d order by 1
  loop
    if m in ('sum', 'count') then
      update tenantry.usage_counters p set value = p.value + delta, events = p.events + step,
          folded = p.folded + case p.period when 'day' then delta else 0 end, folded_events = p.folded_events + case p.period when 'day' then step else 0 end
        where p.tenant_id = t and p.namespace_id in (nil, o.namespace_id) and p.metric = o.metric and p.period = e.period and p.period_start = e.period_start;
      update tenantry.usage_key_periods p set value = p.value + delta, events = p.events + step
        where p.tenant_id = t and p.api_key_id = o.api_key_id and p.metric = o.metric and p.period = e.period and p.period_start = e.period_start;
    else
      perform tenantry.recount_usage(t, o.metric, e.period_start, e.period_end);
    end if;
    perform tenantry.check_usage_alerts(t, s.scope, o.metric, e.period, e.period_start) from unnest(array[nil, o.namespace_id]) s(scope)
      where s.scope is not null;
    if e.period = 'day' and o.occurred_at < a.closed_until then
      insert into tenantry.usage_corrections (tenant_id, namespace_id, metric, day_start, day_end, quantity, events, cause)
        values (t, o.namespace_id, o.metric, e.period_start, e.period_end, delta, step, case step when 0 then 'amended' else 'retracted' end);
    end if;
  end loop;
  return 'c';
end $$;

-- ── the ledger against the counters ─────────────────────────────────────────────────────────────────────────────────

-- What the counters of an organization ought to be, from its events. A range names whole periods; without, all that is kept.
create function tenantry.usage_from_ledger(p_tenant uuid, p_metric text default null, p_from timestamptz default '-infinity', p_to timestamptz default 'infinity')
returns table (of_key boolean, scope_id uuid, metric text, period text, period_start timestamptz, period_end timestamptz,
  value numeric, events bigint, last_at timestamptz)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  with raw as (
    select coalesce(y.corrects, y.id) as id, y.metric, y.namespace_id, y.api_key_id, y.subject, y.quantity, y.events, y.occurred_at,
      date_bin('15 minutes', y.occurred_at, timestamptz 'epoch') as slot, m.aggregation
    from tenantry.usage_events y join tenantry.metrics m on m.name = y.metric
    where y.tenant_id = p_tenant and y.occurred_at >= p_from and y.occurred_at < p_to and (p_metric is null or y.metric = p_metric collate "C")
  ), counted as (
    select r.metric, r.namespace_id, r.api_key_id, r.slot, r.aggregation, null::text as subject, null::timestamptz as occurred_at,
      sum(case r.aggregation when 'count' then r.events else r.quantity end) as quantity, sum(r.events) as events
    from raw r where r.aggregation in ('sum', 'count') group by 1, 2, 3, 4, 5
    union all
    select r.metric, r.namespace_id, r.api_key_id, r.slot, r.aggregation, r.subject, r.occurred_at, sum(r.quantity), sum(r.events)
    from raw r where r.aggregation not in ('sum', 'count') group by r.id, 1, 2, 3, 4, 5, 6, 7
    having sum(r.events) > 0
  ), edges as (
    select s.slot, p.period, d.period_start, d.period_end
    from (select distinct c.slot from counted c) s
    cross join unnest(array['day', 'month']) p(period)
    cross join lateral tenantry.usage_edges(p_tenant, p.period, s.slot) d
  )
  select x.of_key, x.scope_id, c.metric, d.period, d.period_start, max(d.period_end),
    case when c.aggregation in ('sum', 'count') then sum(c.quantity) when c.aggregation = 'max' then max(c.quantity)
      when c.aggregation = 'unique' then count(distinct c.subject)
      else (array_agg(c.quantity order by c.occurred_at desc, c.quantity desc))[1] end,
    sum(c.events)::bigint, case c.aggregation when 'last' then max(c.occurred_at) end
  from counted c
  join edges d on d.slot = c.slot
  cross join lateral (values (false, '00000000-0000-0000-0000-000000000000'::uuid), (false, c.namespace_id), (true, c.api_key_id)) x(of_key, scope_id)
  where x.scope_id is not null
  group by x.of_key, x.scope_id, c.metric, c.aggregation, d.period, d.period_start;
end $$;

-- Where the two differ. Periods that reach before what is kept are left out: their events are gone, their counters stay.
create function tenantry.usage_differences(p_tenant uuid, p_metric text default null, p_from timestamptz default '-infinity', p_to timestamptz default 'infinity')
returns table (of_key boolean, scope_id uuid, metric text, period text, period_start timestamptz, period_end timestamptz,
  counted_value numeric, ledger_value numeric, counted_events bigint, ledger_events bigint, last_at timestamptz)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select coalesce(l.of_key, c.of_key), coalesce(l.scope_id, c.scope_id), coalesce(l.metric, c.metric), coalesce(l.period, c.period),
    coalesce(l.period_start, c.period_start), coalesce(l.period_end, c.period_end), c.value, coalesce(l.value, 0), c.events, coalesce(l.events, 0), l.last_at
  from tenantry.usage_from_ledger(p_tenant, p_metric, p_from, p_to) l
  full join (
    select false as of_key, p.namespace_id as scope_id, p.metric, p.period, p.period_start, p.period_end, p.value, p.events from tenantry.usage_periods p
      where p.tenant_id = p_tenant and p.period_start >= p_from and p.period_end <= p_to and (p_metric is null or p.metric = p_metric collate "C")
    union all
    select true, p.api_key_id, p.metric, p.period, p.period_start, p.period_end, p.value, p.events from tenantry.usage_key_periods p
      where p.tenant_id = p_tenant and p.period_start >= p_from and p.period_end <= p_to and (p_metric is null or p.metric = p_metric collate "C")
  ) c on c.of_key = l.of_key and c.scope_id = l.scope_id and c.metric = l.metric and c.period = l.period and c.period_start = l.period_start
  where (coalesce(c.value, 0), coalesce(c.events, 0)) <> (coalesce(l.value, 0), coalesce(l.events, 0))
    -- a range tells nothing of periods that reach beyond it
    and (l.period_start is null or l.period_start >= p_from and l.period_end <= p_to)
    and coalesce(l.period_start, c.period_start) >= (select a.kept_since from tenantry.usage_accounts a where a.tenant_id = p_tenant);
end $$;

-- Makes the counters what the ledger says and returns how many were not.
create function tenantry.recount_usage(p_tenant uuid, p_metric text default null, p_from timestamptz default '-infinity', p_to timestamptz default 'infinity') returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  summed constant text[] := array(select m.name from tenantry.metrics m where m.aggregation in ('sum', 'count'));
  wrong record;
  changed bigint := 0;
begin
  perform from tenantry.usage_accounts a where a.tenant_id = p_tenant for update;
  perform tenantry.fold_usage_day(p_tenant);
  for wrong in select * from tenantry.usage_differences(p_tenant, p_metric, p_from, p_to) x order by x.of_key, x.scope_id, x.metric, x.period, x.period_start loop
    if wrong.of_key then
      insert into tenantry.usage_key_periods as p (tenant_id, api_key_id, metric, period, period_start, period_end, value, events, last_at)
        values (p_tenant, wrong.scope_id, wrong.metric, wrong.period, wrong.period_start, wrong.period_end, wrong.ledger_value, wrong.ledger_events, wrong.last_at)
        on conflict (tenant_id, api_key_id, metric, period, period_start) do update set value = excluded.value, events = excluded.events, last_at = excluded.last_at;
    else
      insert into tenantry.usage_counters as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events, folded, folded_events, last_at)
        values (p_tenant, wrong.scope_id, wrong.metric, wrong.period, wrong.period_start, wrong.period_end, wrong.ledger_value, wrong.ledger_events,
          case when wrong.metric = any (summed) then wrong.ledger_value end, case when wrong.metric = any (summed) then wrong.ledger_events end, wrong.last_at)
        on conflict (tenant_id, namespace_id, metric, period, period_start) do update set value = excluded.value, events = excluded.events,
          folded = excluded.folded, folded_events = excluded.folded_events, last_at = excluded.last_at, alert_at = null;
    end if;
    changed := changed + 1;
  end loop;
  -- whom "unique" counted, again
  delete from tenantry.usage_subjects s using tenantry.metrics m
    where s.tenant_id = p_tenant and m.name = s.metric and (p_metric is null or s.metric = p_metric collate "C") and s.period_start >= p_from and s.period_start < p_to
      and s.period_start >= (select a.kept_since from tenantry.usage_accounts a where a.tenant_id = p_tenant);
  insert into tenantry.usage_subjects (tenant_id, scope_id, metric, period, period_start, subject)
    select distinct p_tenant, x.scope_id, e.metric, p.period, d.period_start, e.subject
    from (
      select y.metric, y.namespace_id, y.api_key_id, y.subject, y.occurred_at from tenantry.usage_events y
        join tenantry.metrics m on m.name = y.metric and m.aggregation = 'unique'
        where y.tenant_id = p_tenant and y.corrects is null and y.occurred_at >= p_from and y.occurred_at < p_to and (p_metric is null or y.metric = p_metric collate "C")
          and not exists (select from tenantry.usage_events r where r.tenant_id = p_tenant and r.corrects = y.id and r.events < 0)
    ) e
    cross join lateral (values ('00000000-0000-0000-0000-000000000000'::uuid), (e.namespace_id), (e.api_key_id)) x(scope_id)
    cross join unnest(array['day', 'month']) p(period)
    cross join lateral tenantry.usage_edges(p_tenant, p.period, e.occurred_at) d
    where x.scope_id is not null and d.period_start >= p_from
    on conflict do nothing;
  return changed;
end $$;

-- ── what limits, bills and operators call: as the owner ─────────────────────────────────────────────────────────────

create function tenantry.usage_value(p_tenant uuid, p_namespace uuid, p_metric text, p_period text, p_at timestamptz) returns numeric
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((
    select case when x.period_end > p_at then x.value end from (
      select p.value, p.period_end from tenantry.usage_periods p
      where p.tenant_id = p_tenant and p.namespace_id = coalesce(p_namespace, '00000000-0000-0000-0000-000000000000')
        and p.metric = p_metric collate "C" and p.period = p_period and p.period_start <= p_at
      order by p.period_start desc limit 1) x), 0);
end $$;
comment on function tenantry.usage_value(uuid, uuid, text, text, timestamptz) is
  'What an organization (namespace null or nil) or a namespace used of a metric in the day or month around an instant. For functions of the owner.';

-- Of any range: whole days from their counters, what sticks out from the ledger.
create function tenantry.usage_between(p_tenant uuid, p_namespace uuid, p_metric text, p_from timestamptz, p_to timestamptz) returns numeric
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  scope uuid := coalesce(p_namespace, nil);
  m text := (select y.aggregation from tenantry.metrics y where y.name = p_metric);
  first_day timestamptz;
  last_day timestamptz;
begin
  if p_to <= p_from then
    return 0;
  end if;
  if m in ('sum', 'count') then
    select case when d.period_start = p_from then p_from else least(d.period_end, p_to) end into first_day from tenantry.usage_edges(p_tenant, 'day', p_from) d;
    select greatest(d.period_start, first_day) into last_day from tenantry.usage_edges(p_tenant, 'day', p_to) d;
    return (
      select coalesce(sum(p.value), 0) from tenantry.usage_periods p
        where p.tenant_id = p_tenant and p.namespace_id = scope and p.metric = p_metric collate "C" and p.period = 'day'
          and p.period_start >= first_day and p.period_start < last_day
      ) + (
      select coalesce(sum(case m when 'count' then e.events else e.quantity end), 0) from tenantry.usage_events e
        where e.tenant_id = p_tenant and e.metric = p_metric collate "C" and (scope = nil or e.namespace_id = scope)
          and (e.occurred_at >= p_from and e.occurred_at < first_day or e.occurred_at >= last_day and e.occurred_at < p_to));
  end if;
  return (
    select coalesce(case m when 'max' then max(x.q) when 'unique' then count(distinct x.subject) else (array_agg(x.q order by x.at desc, x.q desc))[1] end, 0)
    from (
      select sum(e.quantity) as q, min(e.occurred_at) as at, min(e.subject) as subject from tenantry.usage_events e
        where e.tenant_id = p_tenant and e.metric = p_metric collate "C" and (scope = nil or e.namespace_id = scope)
          and e.occurred_at >= p_from and e.occurred_at < p_to
        group by coalesce(e.corrects, e.id) having sum(e.events) > 0) x);
end $$;
comment on function tenantry.usage_between(uuid, uuid, text, timestamptz, timestamptz) is 'What was used in [from, to), whatever days and months are. For functions of the owner.';

-- Called by the transaction that bills: whatever was counted before it is in the bill, whatever comes after is a correction.
create function tenantry.close_usage(p_tenant uuid, p_until timestamptz) returns timestamptz language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  until timestamptz;
begin
  perform tenantry.open_usage_accounts(array[p_tenant]);
  update tenantry.usage_accounts a set closed_until = greatest(a.closed_until, p_until) where a.tenant_id = p_tenant returning a.closed_until into until;
  return until;
end $$;
comment on function tenantry.close_usage(uuid, timestamptz) is
  'Waits for those who are counting for the organization, then closes [.., until): read usage after it, in the same transaction.';

create function tenantry.settle_usage_corrections(p_tenant uuid, p_ids uuid[], p_by uuid) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  settled bigint;
begin
  update tenantry.usage_corrections c set settled_at = clock_timestamp(), settled_by = p_by
    where c.tenant_id = p_tenant and c.id = any (p_ids) and c.settled_at is null;
  get diagnostics settled = row_count;
  return settled;
end $$;

-- A step of pruning: first nothing older is taken any more, then what is older goes, a few thousand at a time.
create function tenantry.prune_usage(p_tenant uuid, p_before timestamptz, p_limit integer) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  horizon timestamptz := date_trunc('hour', p_before, 'UTC');
  gone bigint;
begin
  update tenantry.usage_accounts a set kept_since = horizon where a.tenant_id = p_tenant and a.kept_since < horizon;
  delete from tenantry.usage_events e where e.tenant_id = p_tenant and e.id in (
    select x.id from tenantry.usage_events x where x.tenant_id = p_tenant and x.occurred_at < horizon order by x.occurred_at limit p_limit);
  get diagnostics gone = row_count;
  delete from tenantry.usage_subjects s where s.tenant_id = p_tenant and s.period_start < horizon - interval '32 days';
  return gone;
end $$;

grant execute on function tenantry.correct_usage(text, text, numeric, text) to tenantry_app, tenantry_operator;
