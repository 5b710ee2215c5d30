-- Usage: what is counted (metrics), the ledger of events, one counter per organization or namespace, metric and period, alerts,
-- corrections of what was billed already. The ledger is the truth; a counter is the sum of its events, in one transaction.

-- ── metrics: global, operators edit them ────────────────────────────────────────────────────────────────────────────

create table tenantry.metrics (
  name text collate "C" primary key,
  title text not null,
  unit text not null default 'unit',
  aggregation text not null default 'sum',
  alert_levels numeric[] not null default '{90,100}',
  created_at timestamptz not null default now(),
  constraint metrics_name_check check (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint metrics_text_check check (length(title) between 1 and 255 and length(unit) between 1 and 63),
  constraint metrics_aggregation_check check (aggregation in ('sum', 'count', 'max', 'last', 'unique')),
  constraint metrics_alert_levels_check check (0 < all (alert_levels) and array_position(alert_levels, null) is null and cardinality(alert_levels) <= 20)
);
comment on table tenantry.metrics is 'What is counted. Global; operators edit it.';
comment on column tenantry.metrics.aggregation is
  'How a period''s value comes from its events: sum of quantities, count of events, max, last (by occurred_at), unique subjects. Fixed once there is an event.';
comment on column tenantry.metrics.alert_levels is 'Per cent of the limit at which an organization is told, once per period each.';
insert into tenantry.metrics (name, title, unit, aggregation) values
  ('conversations', 'Conversations', 'conversation', 'sum'),
  ('memories', 'Memories', 'memory', 'sum'),
  ('api_calls', 'API calls', 'call', 'sum'),
  ('emails', 'E-mails', 'e-mail', 'sum'),
  ('active_end_users', 'Active end users', 'end user', 'unique');

-- ── accounts: one row per organization that has used something ──────────────────────────────────────────────────────

create table tenantry.usage_accounts (
  tenant_id uuid primary key references tenantry.organizations (id) on delete cascade,
  day_start timestamptz not null,
  day_end timestamptz not null,
  month_start timestamptz not null,
  month_end timestamptz not null,
  closed_until timestamptz not null default '-infinity',
  kept_since timestamptz not null default '-infinity'
);
comment on table tenantry.usage_accounts is 'The day and month that are running, so that counting needs no calendar. Locked by whoever counts (share) or closes (update).';
comment on column tenantry.usage_accounts.closed_until is 'Billed up to here: what comes for an earlier instant is a correction.';
comment on column tenantry.usage_accounts.kept_since is 'Events before this were pruned; none of before is taken any more, so that none is counted twice.';

create table tenantry.usage_zones (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  period text not null,
  valid_from timestamptz not null,
  time_zone text not null,
  primary key (tenant_id, period, valid_from),
  constraint usage_zones_period_check check (period in ('day', 'month'))
);
comment on table tenantry.usage_zones is 'Whose midnight ends a day or a month, from when: a change takes effect where the running one ends, so that periods neither overlap nor leave a gap.';

-- ── ledger ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- No foreign keys: one look-up per row would cost more than the row. count_usage() checks each batch's organizations,
-- namespaces, keys and metrics once, and holds the account's row meanwhile. What an event names may go; the event stays.
create table tenantry.usage_events (
  tenant_id uuid not null,
  id text collate "C" not null,
  metric text collate "C" not null,
  namespace_id uuid,
  api_key_id uuid,
  subject text collate "C",
  quantity numeric not null,
  events smallint not null default 1,
  occurred_at timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
  corrects text collate "C",
  reason text,
  primary key (tenant_id, id),
  constraint usage_events_id_check check (length(id) between 1 and 255),
  constraint usage_events_events_check check (events between -1 and 1),
  constraint usage_events_quantity_check check (abs(quantity) < 1e15) -- NaN is greater than every number
);
comment on table tenantry.usage_events is 'The ledger: one row per event and per correction, never changed. Unique by the organization and the id that the caller gave.';
comment on column tenantry.usage_events.quantity is 'Of a correction: the difference to what held before.';
comment on column tenantry.usage_events.events is '1 for an event, 0 for an amendment, -1 for a retraction.';
comment on column tenantry.usage_events.corrects is 'Id of the event that this row corrects; it has the same instant, metric, namespace, key and subject.';
create index usage_events_occurred_at_idx on tenantry.usage_events (tenant_id, occurred_at);
create index usage_events_corrects_idx on tenantry.usage_events (tenant_id, corrects) where corrects is not null;

create function tenantry.refuse_usage_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'an event of usage is never changed: write a correction' using errcode = '42501';
end $$;
create trigger append_only before update or truncate on tenantry.usage_events
  for each statement execute function tenantry.refuse_usage_change();

-- ── counters ────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.usage_periods (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  namespace_id uuid not null default '00000000-0000-0000-0000-000000000000',
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  value numeric not null default 0,
  events bigint not null default 0,
  last_at timestamptz,
  alert_at numeric,
  alert_checked_at timestamptz,
  primary key (tenant_id, namespace_id, metric, period, period_start),
  constraint usage_periods_period_check check (period in ('day', 'month')),
  constraint usage_periods_edges_check check (period_end > period_start)
) with (fillfactor = 50);
comment on table tenantry.usage_periods is 'What was used, per organization (namespace_id is the nil UUID) and per namespace, by day and month.';
comment on column tenantry.usage_periods.last_at is 'Of the aggregation "last": when the value was measured.';
comment on column tenantry.usage_periods.alert_at is 'The value at which the next alert may be due; null: to be found out.';
-- For operators: the heaviest organizations of a period. Not on the value, which would cost each count a new index entry; by an
-- expression, so that no query of one organization takes it when statistics know nothing of a new period yet.
create index usage_periods_across_idx on tenantry.usage_periods (((metric || '/' || period) collate "C"), period_start)
  where namespace_id = '00000000-0000-0000-0000-000000000000';

create table tenantry.usage_key_periods (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  api_key_id uuid not null,
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  value numeric not null default 0,
  events bigint not null default 0,
  last_at timestamptz,
  primary key (tenant_id, api_key_id, metric, period, period_start),
  constraint usage_key_periods_period_check check (period in ('day', 'month'))
) with (fillfactor = 50);
comment on table tenantry.usage_key_periods is 'The same per API key, for events that name one.';

create table tenantry.usage_subjects (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  scope_id uuid not null,
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  subject text collate "C" not null,
  primary key (tenant_id, scope_id, metric, period, period_start, subject)
);
comment on table tenantry.usage_subjects is 'Whom the aggregation "unique" has counted: scope_id is the nil UUID, a namespace or a key.';

-- ── alerts and corrections ──────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.usage_alert_levels (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  metric text collate "C" not null references tenantry.metrics (name) on update cascade on delete cascade,
  levels numeric[] not null,
  primary key (tenant_id, metric),
  constraint usage_alert_levels_check check (0 < all (levels) and array_position(levels, null) is null and cardinality(levels) <= 20)
);
comment on table tenantry.usage_alert_levels is 'Levels of an organization''s own instead of the metric''s, in per cent; {}: no alert.';
create index usage_alert_levels_metric_idx on tenantry.usage_alert_levels (metric);

create table tenantry.usage_alerts (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  level numeric not null,
  quantity numeric not null,
  value numeric not null,
  fired_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint usage_alerts_once_key unique (tenant_id, metric, period, period_start, level)
);
comment on table tenantry.usage_alerts is 'Told once per metric, period and level: a refund or a raised limit tells nobody twice.';
comment on column tenantry.usage_alerts.quantity is 'The limit that held then.';

create table tenantry.usage_corrections (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  namespace_id uuid,
  metric text collate "C" not null,
  day_start timestamptz not null,
  day_end timestamptz not null,
  quantity numeric not null,
  events bigint not null,
  cause text not null,
  created_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  settled_by uuid,
  primary key (tenant_id, id),
  constraint usage_corrections_cause_check check (cause in ('late', 'amended', 'retracted'))
);
comment on table tenantry.usage_corrections is 'What changed in a day that was billed already. Counters hold it too; a bill turns it into a line and settles it.';
comment on column tenantry.usage_corrections.quantity is 'By how much a sum or count changed. Of max, last and unique: zero; read the day again.';
create index usage_corrections_open_idx on tenantry.usage_corrections (tenant_id, metric, day_start) where settled_at is null;

-- The ledger and the subjects go with the account, and so with the organization.
create function tenantry.drop_usage() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  delete from tenantry.usage_events e where e.tenant_id = old.tenant_id;
  return null;
end $$;
create trigger drop_usage after delete on tenantry.usage_accounts
  for each row execute function tenantry.drop_usage();

-- ── periods ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The first instant at which a wall clock shows a time. Where clocks go back at midnight there are two, and PostgreSQL
-- takes the later; where they go forward over it there is none, and PostgreSQL takes the jump, which is right.
create function tenantry.first_instant(p_time_zone text, p_local timestamp) returns timestamptz language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  found_at timestamptz := p_local at time zone p_time_zone;
begin
  if (found_at - interval '1 hour') at time zone p_time_zone = p_local then
    return found_at - interval '1 hour';
  elsif (found_at - interval '30 minutes') at time zone p_time_zone = p_local then
    return found_at - interval '30 minutes';
  elsif (found_at - interval '2 hours') at time zone p_time_zone = p_local then
    return found_at - interval '2 hours';
  end if;
  return found_at;
end $$;

create function tenantry.period_edges(p_time_zone text, p_period text, p_at timestamptz)
returns table (period_start timestamptz, period_end timestamptz) language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  local timestamp := date_trunc(p_period, p_at at time zone p_time_zone);
begin
  if p_period not in ('day', 'month') then
    raise exception 'a period is day or month' using errcode = '22023';
  end if;
  period_start := tenantry.first_instant(p_time_zone, local);
  period_end := tenantry.first_instant(p_time_zone, local + ('1 ' || p_period)::interval);
  return next;
end $$;
comment on function tenantry.period_edges(text, text, timestamptz) is 'The day or month around an instant in a time zone, [start, end).';

-- The same for an organization: with its zone of that time, and cut where the zone changed.
create function tenantry.usage_edges(p_tenant uuid, p_period text, p_at timestamptz)
returns table (period_start timestamptz, period_end timestamptz) language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  zone text;
  since timestamptz;
  until timestamptz;
begin
  select z.time_zone, z.valid_from into zone, since from tenantry.usage_zones z
    where z.tenant_id = p_tenant and z.period = p_period and z.valid_from <= p_at order by z.valid_from desc limit 1;
  select z.valid_from into until from tenantry.usage_zones z
    where z.tenant_id = p_tenant and z.period = p_period and z.valid_from > p_at order by z.valid_from limit 1;
  return query
    select greatest(e.period_start, since), least(e.period_end, until)
      from tenantry.period_edges(coalesce(zone, tenantry.tenant_time_zone(p_tenant)), p_period, p_at) e;
end $$;

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

-- ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────

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

-- Tells of the levels that a counter has reached and says when to look again. The caller holds the counter's row, so two
-- never look at once; the unique key of usage_alerts outlasts refunds, raised limits and crashes.
create function tenantry.check_usage_alerts(p_tenant uuid, p_metric text, p_period text, p_start timestamptz) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  c tenantry.usage_periods;
  q numeric;
  l numeric;
  next_at numeric := 'infinity';
  alert_id uuid;
begin
  select * into c from tenantry.usage_periods p where p.tenant_id = p_tenant and p.namespace_id = '00000000-0000-0000-0000-000000000000'
    and p.metric = p_metric and p.period = p_period and p.period_start = p_start for update;
  for q, l in
    select x.quantity, v.level
      from tenantry.usage_limit(p_tenant, p_metric) x
      cross join lateral unnest(coalesce(
        (select o.levels from tenantry.usage_alert_levels o where o.tenant_id = p_tenant and o.metric = p_metric),
        (select m.alert_levels from tenantry.metrics m where m.name = p_metric))) v(level)
      where x.period = p_period and x.quantity is not null
      order by v.level
  loop
    if c.value > 0 and c.value >= q * l / 100 then
      insert into tenantry.usage_alerts (tenant_id, metric, period, period_start, period_end, level, quantity, value)
        values (p_tenant, p_metric, p_period, c.period_start, c.period_end, l, q, c.value)
        on conflict (tenant_id, metric, period, period_start, level) do nothing returning id into alert_id;
      if found then
        perform tenantry.emit(p_tenant, 'usage.alert', jsonb_build_object('alertId', alert_id, 'metric', p_metric, 'period', p_period,
            'periodStart', c.period_start, 'periodEnd', c.period_end, 'level', l, 'limit', q, 'value', c.value),
          format('usage.alert:%s:%s:%s:%s', p_metric, p_period, extract(epoch from c.period_start)::bigint, trim_scale(l)));
      end if;
    else
      next_at := least(next_at, q * l / 100);
    end if;
  end loop;
  update tenantry.usage_periods p set alert_at = next_at, alert_checked_at = clock_timestamp()
    where p.tenant_id = p_tenant and p.namespace_id = c.namespace_id and p.metric = p_metric and p.period = p_period and p.period_start = p_start;
end $$;

-- Max, last and unique: the same as the sums in count_usage(), for one lane after the other; there are few such events.
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
    insert into tenantry.usage_periods as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events, last_at)
      values (p_tenant, p_scope, p_metric, p_period, p_start, p_end, v, cardinality(p_quantities), newest)
      on conflict (tenant_id, namespace_id, metric, period, period_start) do update set events = p.events + excluded.events,
        value = case p_aggregation when 'max' then greatest(p.value, excluded.value) when 'unique' then p.value + excluded.value
          else case when p.last_at > excluded.last_at then p.value else excluded.value end end,
        last_at = greatest(p.last_at, excluded.last_at);
  end if;
end $$;

-- Keys, and metrics that are not added up: apart, so that the usual batch pays nothing for them.
create function tenantry.count_usage_rest(p_tenants uuid[], p_namespaces uuid[], p_keys uuid[], p_metrics text[], p_aggregations text[],
  p_slots timestamptz[], p_day_starts timestamptz[], p_day_ends timestamptz[], p_month_starts timestamptz[], p_month_ends timestamptz[],
  p_lanes integer[], p_offsets integer[], p_quantities numeric[], p_subjects text[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
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
    if not g.of_key and g.scope = nil then
      perform tenantry.check_usage_alerts(g.tenant_id, g.metric, g.period, g.period_start);
    end if;
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

-- Counts a batch of events in one transaction. Lanes are what events share (organization, namespace, key, metric, quarter
-- of an hour); p_ids holds one id per line, p_offsets milliseconds from the lane's quarter. Locks in one order, so that
-- batches wait for one another and never in a circle: accounts, events, counters, each sorted.
-- A caller in an organization's context counts for it alone; only one without any context carries several.
-- p_fresh: no id is expected to be known, and the insert is plain, which costs less; where one is known after all, it is done again.
-- Answers '' when all were counted, '!' when nothing was done because an account's day is over: open_usage() first;
-- else a letter per event: c counted, d recorded before, x another event has this id, t m n k unknown organization, metric,
-- namespace, key, s a subject is missing, o too old, f in the future.
create function tenantry.count_usage(p_tenants uuid[], p_namespaces uuid[], p_keys uuid[], p_metrics text[], p_slots bigint[],
  p_lanes integer[], p_ids text, p_offsets integer[], p_quantities numeric[] default null, p_subjects text[] default null,
  p_fresh boolean default false) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  nil constant uuid := '00000000-0000-0000-0000-000000000000';
  at constant timestamptz := clock_timestamp();
  ids constant text[] := string_to_array(p_ids, E'\n');
  sent constant integer := cardinality(p_lanes);
  named constant boolean := cardinality(array_remove(p_namespaces, null)) > 0;
  keyed constant boolean := cardinality(array_remove(p_keys, null)) > 0;
  stale boolean;
  bad boolean;
  gauges boolean;
  late boolean;
  states text[];
  aggregations text[];
  slots timestamptz[];
  day_starts timestamptz[];
  day_ends timestamptz[];
  month_starts timestamptz[];
  month_ends timestamptz[];
  closed timestamptz[];
  edge record;
  made integer;
  made_tenants uuid[];
  made_ids text[];
  lanes integer[] := p_lanes;
  offsets integer[] := p_offsets;
  quantities numeric[] := p_quantities;
  subjects text[] := p_subjects;
  answer text := '';
  due record;
begin
  perform tenantry.assert_usage_context(p_tenants, p_namespaces);
  if tenantry.context_tenant() is not null then
    -- within somebody's transaction, which '!' could not end: before the account is held
    perform tenantry.open_usage_accounts(p_tenants[1:1]);
  end if;
  if sent is distinct from cardinality(ids) or sent is distinct from cardinality(p_offsets)
    or sent <> cardinality(p_quantities) or sent <> cardinality(p_subjects) or (0 <= all (p_offsets) and 900000 > all (p_offsets)) is not true then
    raise exception 'the arrays of events do not fit together' using errcode = '22023';
  end if;

  with held as materialized (
    select a.* from tenantry.usage_accounts a where a.tenant_id = any (p_tenants) order by a.tenant_id for share
  )
  select array_agg(x.state), array_agg(x.aggregation), array_agg(x.slot), array_agg(x.day_start), array_agg(x.day_end),
      array_agg(x.month_start), array_agg(x.month_end), array_agg(x.closed_until), bool_or(x.stale), bool_or(x.bad),
      bool_or(x.aggregation in ('max', 'last', 'unique')), bool_or(x.slot < x.closed_until)
    into states, aggregations, slots, day_starts, day_ends, month_starts, month_ends, closed, stale, bad, gauges, late
    from (
      select m.aggregation, s.slot, a.closed_until, a.day_end, a.month_end,
        case when m.name is null then 'm' when s.slot < a.kept_since or s.slot < timestamptz '2000-01-01 00:00Z' then 'o'
          when s.slot > at + interval '1 hour' then 'f' else 'c' end as state,
        case when s.slot >= a.day_start and s.slot < a.day_end then a.day_start end as day_start,
        case when s.slot >= a.month_start and s.slot < a.month_end then a.month_start end as month_start,
        (a.day_end > at and a.month_end > at) is not true as stale,
        -- what the usual lane is not: of the running day, of a metric that exists
        m.name is null or (s.slot >= a.day_start and s.slot < a.day_end and s.slot >= a.kept_since) is not true as bad
      from unnest(p_tenants, p_metrics, p_slots) with ordinality l(tenant_id, metric, slot, lane)
      cross join lateral (select to_timestamp(l.slot * 900.0) as slot) s
      left join held a on a.tenant_id = l.tenant_id
      left join tenantry.metrics m on m.name = l.metric collate "C"
      order by l.lane) x;
  if bad or stale or named or keyed then
    if stale and exists (select from tenantry.organizations o where o.id = any (p_tenants) and not exists (
      select from tenantry.usage_accounts a where a.tenant_id = o.id and a.day_end > at and a.month_end > at)) then
      return '!';
    end if;
    for i in 1 .. cardinality(states) loop
      if not exists (select from tenantry.usage_accounts a where a.tenant_id = p_tenants[i]) then
        states[i] := 't';
      elsif p_namespaces[i] is not null and not exists (select from tenantry.namespaces n where n.tenant_id = p_tenants[i] and n.id = p_namespaces[i]) then
        states[i] := 'n';
      elsif p_keys[i] is not null and not exists (select from tenantry.api_keys k where k.tenant_id = p_tenants[i] and k.id = p_keys[i]) then
        states[i] := 'k';
      end if;
      continue when states[i] <> 'c' or (day_starts[i] is not null and month_starts[i] is not null);
      -- INTO takes no element of an array
      select * into edge from tenantry.usage_edges(p_tenants[i], 'day', slots[i]);
      day_starts[i] := edge.period_start;
      day_ends[i] := edge.period_end;
      select * into edge from tenantry.usage_edges(p_tenants[i], 'month', slots[i]);
      month_starts[i] := edge.period_start;
      month_ends[i] := edge.period_end;
    end loop;
  end if;

  if p_fresh then
    begin
      insert into tenantry.usage_events (tenant_id, id, metric, namespace_id, api_key_id, subject, quantity, occurred_at, received_at)
        select p_tenants[e.lane], e.id, p_metrics[e.lane], p_namespaces[e.lane], p_keys[e.lane], e.subject, coalesce(e.quantity, 1),
          slots[e.lane] + e.ms * interval '1 millisecond', at
        from unnest(p_lanes, ids, p_offsets, p_quantities, p_subjects) e(lane, id, ms, quantity, subject)
        where states[e.lane] = 'c' and (aggregations[e.lane] <> 'unique' or e.subject is not null)
        order by 1, e.id collate "C";
      get diagnostics made = row_count;
      if made < sent then -- the letters need to know which
        raise unique_violation;
      end if;
    exception when unique_violation then
      made := null;
    end;
  end if;
  if made is null then
    with made as (
      insert into tenantry.usage_events (tenant_id, id, metric, namespace_id, api_key_id, subject, quantity, occurred_at, received_at)
        select p_tenants[e.lane], e.id, p_metrics[e.lane], p_namespaces[e.lane], p_keys[e.lane], e.subject, coalesce(e.quantity, 1),
          slots[e.lane] + e.ms * interval '1 millisecond', at
        from unnest(p_lanes, ids, p_offsets, p_quantities, p_subjects) e(lane, id, ms, quantity, subject)
        where states[e.lane] = 'c' and (aggregations[e.lane] <> 'unique' or e.subject is not null)
        order by 1, e.id collate "C"
        on conflict (tenant_id, id) do nothing
        returning tenant_id, id)
    select count(*), array_agg(m.tenant_id), array_agg(m.id) into made, made_tenants, made_ids from made m;
  end if;

  if made < sent then
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
        from unnest(p_lanes, ids, p_offsets, p_quantities, p_subjects) with ordinality e(lane, id, ms, quantity, subject, place)
        left join tenantry.usage_events u on u.tenant_id = p_tenants[e.lane] and u.id = e.id collate "C") x;
    if lanes is null then
      return answer;
    end if;
  end if;

  for due in
    with sums as (
      select c.lane, sum(case aggregations[c.lane] when 'count' then 1 else coalesce(c.quantity, 1) end) as value, count(*) as events
      from unnest(lanes, quantities) c(lane, quantity)
      where aggregations[c.lane] in ('sum', 'count')
      group by c.lane
    ), kept as (
      insert into tenantry.usage_periods as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events)
        select p_tenants[s.lane], x.scope, p_metrics[s.lane], x.period, x.period_start, max(x.period_end), sum(s.value), sum(s.events)
        from sums s
        cross join lateral (values (nil, 'day', day_starts[s.lane], day_ends[s.lane]), (nil, 'month', month_starts[s.lane], month_ends[s.lane]),
          (p_namespaces[s.lane], 'day', day_starts[s.lane], day_ends[s.lane]),
          (p_namespaces[s.lane], 'month', month_starts[s.lane], month_ends[s.lane])) x(scope, period, period_start, period_end)
        where x.scope is not null
        group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
        on conflict (tenant_id, namespace_id, metric, period, period_start)
          do update set value = p.value + excluded.value, events = p.events + excluded.events
        returning p.tenant_id, p.namespace_id, p.metric, p.period, p.period_start, p.value, p.alert_at, p.alert_checked_at
    )
    select k.tenant_id, k.metric, k.period, k.period_start from kept k
      -- once an hour anyway: plans also change by the calendar
      where k.namespace_id = nil and (k.alert_at is null or k.value >= k.alert_at or k.alert_checked_at < at - interval '1 hour')
      order by 1, 2, 3, 4
  loop
    perform tenantry.check_usage_alerts(due.tenant_id, due.metric, due.period, due.period_start);
  end loop;

  if gauges or keyed then
    perform tenantry.count_usage_rest(p_tenants, p_namespaces, p_keys, p_metrics, aggregations, slots, day_starts, day_ends,
      month_starts, month_ends, lanes, offsets, quantities, subjects);
  end if;

  if late then
    insert into tenantry.usage_corrections (tenant_id, namespace_id, metric, day_start, day_end, quantity, events, cause)
      select p_tenants[c.lane], p_namespaces[c.lane], p_metrics[c.lane], day_starts[c.lane], max(day_ends[c.lane]),
        sum(case aggregations[c.lane] when 'sum' then coalesce(c.quantity, 1) when 'count' then 1 else 0 end), count(*), 'late'
      from unnest(lanes, offsets, quantities) c(lane, ms, quantity)
      where slots[c.lane] + c.ms * interval '1 millisecond' < closed[c.lane]
      group by 1, 2, 3, 4;
  end if;
  return answer;
end $$;

-- Corrects an event: to another quantity, or away with it (null). The original stays; the difference is a row beside it.
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
  e record;
begin
  if t is null then
    raise exception 'usage is corrected for the organization of the context' using errcode = '42501';
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
      update tenantry.usage_periods p set value = p.value + delta, events = p.events + step
        where p.tenant_id = t and p.namespace_id in (nil, o.namespace_id) and p.metric = o.metric and p.period = e.period and p.period_start = e.period_start;
      update tenantry.usage_key_periods p set value = p.value + delta, events = p.events + step
        where p.tenant_id = t and p.api_key_id = o.api_key_id and p.metric = o.metric and p.period = e.period and p.period_start = e.period_start;
    else
      perform tenantry.recount_usage(t, o.metric, e.period_start, e.period_end);
    end if;
    perform tenantry.check_usage_alerts(t, o.metric, e.period, e.period_start);
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
  wrong record;
  changed bigint := 0;
begin
  perform from tenantry.usage_accounts a where a.tenant_id = p_tenant for update;
  for wrong in select * from tenantry.usage_differences(p_tenant, p_metric, p_from, p_to) x order by x.of_key, x.scope_id, x.metric, x.period, x.period_start loop
    if wrong.of_key then
      insert into tenantry.usage_key_periods as p (tenant_id, api_key_id, metric, period, period_start, period_end, value, events, last_at)
        values (p_tenant, wrong.scope_id, wrong.metric, wrong.period, wrong.period_start, wrong.period_end, wrong.ledger_value, wrong.ledger_events, wrong.last_at)
        on conflict (tenant_id, api_key_id, metric, period, period_start) do update set value = excluded.value, events = excluded.events, last_at = excluded.last_at;
    else
      insert into tenantry.usage_periods as p (tenant_id, namespace_id, metric, period, period_start, period_end, value, events, last_at)
        values (p_tenant, wrong.scope_id, wrong.metric, wrong.period, wrong.period_start, wrong.period_end, wrong.ledger_value, wrong.ledger_events, wrong.last_at)
        on conflict (tenant_id, namespace_id, metric, period, period_start) do update set value = excluded.value, events = excluded.events,
          last_at = excluded.last_at, alert_at = null;
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

-- A limit or plan has changed: what is due under the new one is told at once, and when to look next is found out anew.
create function tenantry.refresh_usage_alerts(p_tenant uuid) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  c record;
begin
  perform from tenantry.usage_accounts a where a.tenant_id = p_tenant for update;
  if not found then
    return;
  end if;
  for c in select p.metric, p.period, p.period_start from tenantry.usage_periods p
    where p.tenant_id = p_tenant and p.namespace_id = '00000000-0000-0000-0000-000000000000' and p.period_end > clock_timestamp()
    order by 1, 2, 3
  loop
    perform tenantry.check_usage_alerts(p_tenant, c.metric, c.period, c.period_start);
  end loop;
end $$;

create function tenantry.usage_limits_changed() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := case tg_op when 'DELETE' then old.tenant_id else new.tenant_id end;
begin
  if exists (select from tenantry.organizations o where o.id = t) then
    perform tenantry.refresh_usage_alerts(t);
  end if;
  return null;
end $$;
create trigger usage_limits after insert or update or delete on tenantry.custom_prices
  for each row execute function tenantry.usage_limits_changed();
create trigger usage_limits after insert or update on tenantry.subscriptions
  for each row execute function tenantry.usage_limits_changed();
create trigger usage_limits after insert or update on tenantry.subscription_phases
  for each row execute function tenantry.usage_limits_changed();
create trigger usage_limits after insert or update or delete on tenantry.usage_alert_levels
  for each row execute function tenantry.usage_limits_changed();

-- ── policies and grants: events and counters are written by functions alone ─────────────────────────────────────────

-- The organization's own code (a context without user, key or end user), and whoever holds usage.read.
create function tenantry.caller_reads_usage() returns boolean language plpgsql stable parallel safe cost 1000
set search_path = pg_catalog, pg_temp as $$
begin
  return tenantry.caller_principals() = array[tenantry.context_tenant()] or tenantry.caller_can('usage.read');
end $$;

alter table tenantry.usage_accounts enable row level security;
create policy tenantry_floor on tenantry.usage_accounts as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_accounts for select to public using ((select tenantry.caller_reads_usage()));
alter table tenantry.usage_zones enable row level security;
create policy tenantry_floor on tenantry.usage_zones as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_zones for select to public using ((select tenantry.caller_reads_usage()));
alter table tenantry.usage_events enable row level security;
create policy tenantry_floor on tenantry.usage_events as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_events for select to public using ((select tenantry.caller_reads_usage())
    and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
alter table tenantry.usage_periods enable row level security;
create policy tenantry_floor on tenantry.usage_periods as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_periods for select to public using ((select tenantry.caller_reads_usage())
    and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
alter table tenantry.usage_key_periods enable row level security;
create policy tenantry_floor on tenantry.usage_key_periods as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_key_periods for select to public using ((select tenantry.caller_reads_usage()));
alter table tenantry.usage_subjects enable row level security;
create policy tenantry_floor on tenantry.usage_subjects as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
alter table tenantry.usage_alert_levels enable row level security;
create policy tenantry_floor on tenantry.usage_alert_levels as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_alert_levels for select to public using ((select tenantry.caller_reads_usage()));
alter table tenantry.usage_alerts enable row level security;
create policy tenantry_floor on tenantry.usage_alerts as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_alerts for select to public using ((select tenantry.caller_reads_usage()));
alter table tenantry.usage_corrections enable row level security;
create policy tenantry_floor on tenantry.usage_corrections as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_corrections for select to public using ((select tenantry.caller_reads_usage())
    and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
create policy tenantry_access_write on tenantry.usage_alert_levels for all to public
  using ((select tenantry.caller_can('usage.write'))) with check ((select tenantry.caller_can('usage.write')));

grant select on tenantry.metrics, tenantry.usage_accounts, tenantry.usage_zones, tenantry.usage_events, tenantry.usage_periods,
  tenantry.usage_key_periods, tenantry.usage_alert_levels, tenantry.usage_alerts, tenantry.usage_corrections to tenantry_app;
grant insert, delete, update (levels) on tenantry.usage_alert_levels to tenantry_app;
grant execute on function tenantry.count_usage(uuid[], uuid[], uuid[], text[], bigint[], integer[], text, integer[], numeric[], text[], boolean),
  tenantry.open_usage(uuid[]),
  tenantry.correct_usage(text, text, numeric, text), tenantry.period_edges(text, text, timestamptz), tenantry.first_instant(text, timestamp),
  tenantry.usage_edges(uuid, text, timestamptz), tenantry.caller_reads_usage(),
  tenantry.caller_usage_limit(text) to tenantry_app, tenantry_operator;
