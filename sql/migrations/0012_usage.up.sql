-- Usage: what is counted (metrics), the ledger of events, one counter per organization or namespace, metric and period, alerts,
-- corrections of what was billed already. The ledger is the truth; a counter is the sum of its events, in one transaction.
-- What counts, corrects and compares stands in 0019 to 0021.

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

-- Domains, because a statement reads a table's CHECK anew each time it begins: a tenth of what a small batch costs. NaN is greater than
-- every number.
create domain tenantry.usage_event_id as text collate "C" constraint usage_event_id_check check (length(value) between 1 and 255);
create domain tenantry.usage_quantity as numeric constraint usage_quantity_check check (abs(value) < 1e15);
create domain tenantry.usage_step as smallint constraint usage_step_check check (value between -1 and 1);

-- No foreign keys: one look-up per row would cost more than the row. count_usage() checks each batch's organizations,
-- namespaces, keys and metrics once, and holds the account's row meanwhile. What an event names may go; the event stays.
create table tenantry.usage_events (
  tenant_id uuid not null,
  id tenantry.usage_event_id not null,
  metric text collate "C" not null,
  namespace_id uuid,
  api_key_id uuid,
  subject text collate "C",
  quantity tenantry.usage_quantity not null,
  events tenantry.usage_step not null default 1,
  occurred_at timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
  corrects text collate "C",
  reason text,
  primary key (tenant_id, id)
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

create table tenantry.usage_counters (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  namespace_id uuid not null default '00000000-0000-0000-0000-000000000000',
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  value numeric not null default 0,
  events bigint not null default 0,
  folded numeric default 0,
  folded_events bigint default 0,
  last_at timestamptz,
  alert_at numeric,
  alert_checked_at timestamptz,
  primary key (tenant_id, namespace_id, metric, period, period_start)
) with (fillfactor = 50);
comment on table tenantry.usage_counters is 'What was used, per organization (namespace_id is the nil UUID) and per namespace, by day and month. Counting touches the running day alone; usage_periods reads it into its month, and the next day begins with folding it in.';
comment on column tenantry.usage_counters.folded is 'Of a day: how much of its value the row of its month holds. Null: all of it, a metric that is not added up.';
comment on column tenantry.usage_counters.last_at is 'Of the aggregation "last": when the value was measured.';
comment on column tenantry.usage_counters.alert_at is 'The value at which the next alert may be due; null: to be found out. Of the running day: that of its month as well.';
-- The days that are to be folded, whatever the organization has used before. Readers, who never ask for "folded", cannot take it instead
-- of the primary key.
create index usage_counters_day_idx on tenantry.usage_counters (tenant_id, period_start) where period = 'day' and folded is not null;
-- For operators: the heaviest organizations of a period. Not on the value, which would cost each count a new index entry; by an
-- expression, so that no query of one organization takes it when statistics know nothing of a new period yet.
create index usage_counters_across_idx on tenantry.usage_counters (((metric || '/' || period) collate "C"), period_start)
  where namespace_id = '00000000-0000-0000-0000-000000000000';

-- What readers ask: a month with its running day.
create view tenantry.usage_periods with (security_invoker = true) as
  select c.tenant_id, c.namespace_id, c.metric, c.period, c.period_start, c.period_end,
    c.value + coalesce(d.value - d.folded, 0) as value, c.events + coalesce(d.events - d.folded_events, 0) as events, c.last_at
  from tenantry.usage_counters c
  left join (tenantry.usage_accounts a
    join tenantry.usage_counters d on d.tenant_id = a.tenant_id and d.period = 'day' and d.period_start = a.day_start)
    on c.period = 'month' and a.tenant_id = c.tenant_id and a.month_start = c.period_start
      and d.tenant_id = c.tenant_id and d.namespace_id = c.namespace_id and d.metric = c.metric;
comment on view tenantry.usage_periods is 'What was used, per organization (namespace_id is the nil UUID) and per namespace, by day and month, as of now.';

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
  namespace_id uuid not null default '00000000-0000-0000-0000-000000000000',
  metric text collate "C" not null,
  period text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  level numeric not null,
  quantity numeric not null,
  value numeric not null,
  fired_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint usage_alerts_once_key unique (tenant_id, namespace_id, metric, period, period_start, level)
);
comment on table tenantry.usage_alerts is 'Told once per organization or namespace, metric, period and level: a refund or a raised limit tells nobody twice.';
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

-- ── a limit or plan has changed ─────────────────────────────────────────────────────────────────────────────────────

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
alter table tenantry.usage_counters enable row level security;
create policy tenantry_floor on tenantry.usage_counters as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_counters for select to public using ((select tenantry.caller_reads_usage())
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
create policy tenantry_access_select on tenantry.usage_alerts for select to public using ((select tenantry.caller_reads_usage())
    and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
alter table tenantry.usage_corrections enable row level security;
create policy tenantry_floor on tenantry.usage_corrections as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.usage_corrections for select to public using ((select tenantry.caller_reads_usage())
    and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
create policy tenantry_access_write on tenantry.usage_alert_levels for all to public
  using ((select tenantry.caller_can('usage.write'))) with check ((select tenantry.caller_can('usage.write')));

grant select on tenantry.metrics, tenantry.usage_accounts, tenantry.usage_zones, tenantry.usage_events, tenantry.usage_counters, tenantry.usage_periods,
  tenantry.usage_key_periods, tenantry.usage_alert_levels, tenantry.usage_alerts, tenantry.usage_corrections to tenantry_app;
grant insert, delete, update (levels) on tenantry.usage_alert_levels to tenantry_app;
grant execute on function tenantry.period_edges(text, text, timestamptz), tenantry.first_instant(text, timestamp),
  tenantry.usage_edges(uuid, text, timestamptz), tenantry.caller_reads_usage() to tenantry_app, tenantry_operator;
