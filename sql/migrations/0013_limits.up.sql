-- Quotas: limits of organizations, keys and end users (namespaces carry their own), reservations for work under way, and the
-- gate that admits exactly as much as is left. Rate limits: one instant per key (GCRA), shared by all nodes.

-- ── quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.limits (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  principal_id uuid not null,
  metric text not null,
  period text not null default 'month',
  quantity numeric,
  hard boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint limits_key unique (tenant_id, principal_id, metric, period),
  constraint limits_metric_check check (metric ~ '^[a-z][a-z0-9_.-]{0,62}$'),
  constraint limits_period_check check (period in ('day', 'month')),
  constraint limits_quantity_check check (quantity >= 0),
  constraint limits_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);
comment on table tenantry.limits is 'An organization''s own limits (by its own principal), and those of its end users. Namespaces and keys carry theirs.';
comment on column tenantry.limits.quantity is 'Null is unlimited.';
comment on column tenantry.limits.hard is 'Refuse beyond it; else only count the overage.';
create trigger touch before update on tenantry.limits for each row execute function tenantry.touch_updated_at();

-- What end users with a limit have used; organizations, namespaces and keys are counted by usage itself.
create table tenantry.limit_counters (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  principal_id uuid not null,
  metric text not null,
  period text not null,
  period_start timestamptz not null,
  quantity numeric not null default 0,
  primary key (tenant_id, principal_id, metric, period, period_start),
  constraint limit_counters_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);

-- No foreign keys to what a reservation counts against: it lives for minutes, and only limit_reserve() writes it.
create table tenantry.limit_reservations (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  metric text not null,
  quantity numeric not null,
  namespace_id uuid,
  api_key_id uuid,
  end_user_id uuid,
  reserved_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, id),
  constraint limit_reservations_quantity_check check (quantity > 0)
);
comment on table tenantry.limit_reservations is 'Admitted and not yet done. One that expired counts no more: its holder is gone.';
create index limit_reservations_live_idx on tenantry.limit_reservations (tenant_id, metric, expires_at);

-- One row to wait for per scope and metric. It is updated, not only locked, so that a repeatable-read caller gets 40001
-- and never a stale sum.
create table tenantry.limit_gates (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  scope_id uuid not null,
  metric text not null,
  passes bigint not null default 1,
  primary key (tenant_id, scope_id, metric)
) with (fillfactor = 50);

-- What a namespace or key says of a metric: {"memories": 5, "memories_per_day": {"limit": 1, "hard": false}}.
create function tenantry.named_limits(p_limits jsonb, p_metric text, p_period text)
returns table (quantity numeric, hard boolean, period text) language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select distinct on (x.period) (case jsonb_typeof(x.value) when 'object' then x.value ->> 'limit' else x.value #>> '{}' end)::numeric,
      (case jsonb_typeof(x.value) when 'object' then x.value ->> 'hard' end)::boolean, x.period
    from (
      select e.key, e.value, case when e.key like '%\_per\_day' then 'day' when e.key like '%\_per\_month' then 'month' else p_period end as period
      from jsonb_each(p_limits) e where e.key in (p_metric, p_metric || '_per_day', p_metric || '_per_month')) x
    order by x.period, x.key desc; -- the name that says its period counts more than the one that does not
end $$;

-- Which limits a request meets. A namespace's replaces the plan's of the same metric and period, and so does the
-- organization's own; keys and end users come on top.
create function tenantry.effective_limits(p_metric text, p_namespace uuid, p_api_key uuid, p_end_user uuid)
returns table (place integer, scope text, scope_id uuid, source text, quantity numeric, hard boolean, period text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
begin
  return query
  with plan as materialized (
    select l.included, l.hard, l.period from tenantry.plan_limit(t, p_metric) l
  ), named as (
    select 2 as place, 'namespace' as scope, n.id, l.quantity, l.hard, l.period
    from tenantry.namespaces n
    cross join lateral tenantry.named_limits(n.limits, p_metric, coalesce((select min(p.period) from plan p), 'month')) l
    where n.tenant_id = t and n.id = p_namespace
    union all
    select 3, 'api_key', k.id, l.quantity, l.hard, l.period
    from tenantry.api_keys k
    cross join lateral tenantry.named_limits(k.limits, p_metric, coalesce((select min(p.period) from plan p), 'month')) l
    where k.tenant_id = t and k.id = p_api_key
  ), own as (
    select l.principal_id, l.quantity, l.hard, l.period from tenantry.limits l
    where l.tenant_id = t and l.metric = p_metric and l.principal_id in (t, p_end_user)
  )
  select 1, 'organization', t, 'organization', o.quantity, o.hard, o.period from own o where o.principal_id = t
  union all
  select 1, 'organization', t, 'plan', p.included, p.hard, p.period from plan p
    where not exists (select 1 from own o where o.principal_id = t and o.period = p.period)
      and not exists (select 1 from named n where n.scope = 'namespace' and n.period = p.period)
  union all
  select n.place, n.scope, n.id, n.scope, n.quantity, coalesce(n.hard, (select bool_and(p.hard) from plan p where p.period = n.period), true), n.period
    from named n
  union all
  select 4, 'end_user', o.principal_id, 'end_user', o.quantity, o.hard, o.period from own o where o.principal_id <> t
  order by 1, 7;
end $$;

-- What a scope has used and reserved in the period around an instant. Reservations are read first: one that is committed
-- meanwhile is then counted twice for a moment, never not at all.
create function tenantry.limit_state(p_metric text, p_scope text, p_scope_id uuid, p_period text, p_at timestamptz,
  out period_start timestamptz, out period_end timestamptz, out used numeric, out reserved numeric)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
begin
  select e.period_start, e.period_end into period_start, period_end from tenantry.usage_edges(t, p_period, p_at) e;
  select coalesce(sum(r.quantity), 0) into reserved from tenantry.limit_reservations r
    where r.tenant_id = t and r.metric = p_metric and r.expires_at > p_at and r.reserved_at >= limit_state.period_start
      and case p_scope when 'organization' then true when 'namespace' then r.namespace_id = p_scope_id
        when 'api_key' then r.api_key_id = p_scope_id else r.end_user_id = p_scope_id end;
  case p_scope
    when 'organization' then
      used := tenantry.usage_value(t, '00000000-0000-0000-0000-000000000000', p_metric, p_period, p_at);
    when 'namespace' then
      used := tenantry.usage_value(t, p_scope_id, p_metric, p_period, p_at);
    when 'api_key' then
      select u.value into used from tenantry.usage_key_periods u
        where u.tenant_id = t and u.api_key_id = p_scope_id and u.metric = p_metric and u.period = p_period
          and u.period_start = limit_state.period_start;
    else
      select c.quantity into used from tenantry.limit_counters c
        where c.tenant_id = t and c.principal_id = p_scope_id and c.metric = p_metric and c.period = p_period
          and c.period_start = limit_state.period_start;
  end case;
  used := coalesce(used, 0);
end $$;

-- Admits a quantity against every limit of the request at once, or against none. A probe only looks.
create function tenantry.limit_reserve(p_metric text, p_quantity numeric, p_namespace uuid, p_api_key uuid, p_end_user uuid,
  p_ttl interval, p_probe boolean, out allowed boolean, out reservation_id uuid, out reserved_at timestamptz,
  out overage numeric, out scopes jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  n uuid := coalesce(p_namespace, tenantry.current_namespace());
  l record;
  s record;
  beyond numeric;
begin
  if t is null then
    raise exception 'a limit belongs to an organization, and there is none here' using errcode = '42501';
  end if;
  if n is distinct from coalesce(tenantry.current_namespace(), n) then
    raise exception 'this context is confined to another namespace' using errcode = '42501';
  end if;
  if n is not null and not tenantry.namespace_usable(t, n) then
    raise exception 'the namespace is unknown, inactive or not allowed' using errcode = 'TN001';
  end if;
  if p_api_key is not null and not exists (select 1 from tenantry.api_keys k where k.tenant_id = t and k.id = p_api_key)
    or p_end_user is not null and not exists (select 1 from tenantry.end_users e where e.tenant_id = t and e.id = p_end_user) then
    raise exception 'the key or end user is unknown' using errcode = 'TN002';
  end if;

  if not p_probe then
    -- always in this order: organization, namespace, key, end user
    for l in select distinct e.place, e.scope_id from tenantry.effective_limits(p_metric, n, p_api_key, p_end_user) e
      where e.quantity is not null order by e.place
    loop
      insert into tenantry.limit_gates as g (tenant_id, scope_id, metric) values (t, l.scope_id, p_metric)
        on conflict (tenant_id, scope_id, metric) do update set passes = g.passes + 1;
    end loop;
  end if;

  reserved_at := clock_timestamp();
  allowed := true;
  overage := 0;
  scopes := '[]';
  for l in select * from tenantry.effective_limits(p_metric, n, p_api_key, p_end_user) loop
    s := tenantry.limit_state(p_metric, l.scope, l.scope_id, l.period, reserved_at);
    scopes := scopes || jsonb_build_object('scope', l.scope, 'id', l.scope_id, 'source', l.source, 'period', l.period, 'hard', l.hard,
      'limit', l.quantity, 'used', s.used, 'reserved', s.reserved, 'periodStart', s.period_start, 'periodEnd', s.period_end);
    beyond := s.used + s.reserved + p_quantity - l.quantity;
    if beyond > 0 then
      if l.hard then
        allowed := false;
      else
        overage := greatest(overage, least(beyond, p_quantity));
      end if;
    end if;
  end loop;

  if not allowed then
    overage := 0;
  elsif not p_probe then
    delete from tenantry.limit_reservations r
      where (r.tenant_id, r.id) in (
        select x.tenant_id, x.id from tenantry.limit_reservations x
        where x.tenant_id = t and x.metric = p_metric and x.expires_at < limit_reserve.reserved_at - interval '1 day' limit 100 for update skip locked);
    insert into tenantry.limit_reservations (tenant_id, metric, quantity, namespace_id, api_key_id, end_user_id, reserved_at, expires_at)
      values (t, p_metric, p_quantity, n, p_api_key, p_end_user, limit_reserve.reserved_at, limit_reserve.reserved_at + p_ttl)
      returning id into reservation_id;
  end if;
end $$;

-- Ends a reservation whose usage has been recorded; an end user with a limit is counted here. False: it was ended before.
create function tenantry.limit_commit(p_id uuid, p_quantity numeric) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  r tenantry.limit_reservations;
begin
  delete from tenantry.limit_reservations x where x.tenant_id = t and x.id = p_id returning x.* into r;
  if r.id is null then
    return false;
  end if;
  insert into tenantry.limit_counters as c (tenant_id, principal_id, metric, period, period_start, quantity)
    select t, l.principal_id, l.metric, l.period, e.period_start, p_quantity
    from tenantry.limits l
    cross join lateral tenantry.usage_edges(t, l.period, r.reserved_at) e
    where l.tenant_id = t and l.metric = r.metric and l.principal_id = r.end_user_id
    order by l.period
    on conflict (tenant_id, principal_id, metric, period, period_start) do update set quantity = c.quantity + excluded.quantity;
  return true;
end $$;

create function tenantry.limit_release(p_id uuid) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  delete from tenantry.limit_reservations x where x.tenant_id = tenantry.current_tenant() and x.id = p_id;
  return found;
end $$;

-- The holder lives: its reservation holds for longer. Null when it expired already; its place may be taken.
create function tenantry.limit_extend(p_id uuid, p_ttl interval) returns timestamptz language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  until timestamptz;
begin
  update tenantry.limit_reservations x set expires_at = clock_timestamp() + p_ttl
    where x.tenant_id = tenantry.current_tenant() and x.id = p_id and x.expires_at > clock_timestamp()
    returning x.expires_at into until;
  return until;
end $$;

-- ── rate limits ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Of no tenant: who asks builds the key, and only rate_take() reads it. Unlogged: a state is worth a few seconds, a crash
-- of the server starts every limit afresh, and no request waits for a disk.
create unlogged table tenantry.rate_states (
  key text collate "C" not null primary key,
  tat double precision not null,
  constraint rate_states_key_check check (length(key) between 1 and 512)
) with (fillfactor = 50);
comment on table tenantry.rate_states is 'GCRA: the theoretical arrival time per key, in milliseconds since 2026. At or before now it is as good as absent.';

create function tenantry.rate_clock() returns double precision language sql volatile parallel safe
  return (extract(epoch from clock_timestamp()) - 1767225600) * 1000;

-- Takes from every key or from none. The server's clock and its row locks in one order: exact over any number of nodes.
create function tenantry.rate_take(p_keys text[], p_intervals double precision[], p_bursts double precision[], p_costs double precision[])
returns table (place bigint, ok boolean, remaining double precision, retry_after_ms double precision, reset_ms double precision)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  n integer := cardinality(p_keys);
  locked integer;
  at double precision;
  refused boolean;
begin
  at := tenantry.rate_clock();
  -- An arrival time only grows: what is refused by the one that everybody sees is refused for good, without a lock.
  select bool_or(greatest(s.tat, at) + q.cost * q.step - at > (q.burst + 0.01) * q.step) into refused
    from unnest(p_keys, p_intervals, p_bursts, p_costs) q (key, step, burst, cost) join tenantry.rate_states s on s.key = q.key;
  if refused is not true then
    loop
      insert into tenantry.rate_states (key, tat) select k, 0 from unnest(p_keys) k order by k collate "C" on conflict (key) do nothing;
      select count(*) into locked from (
        select from tenantry.rate_states s where s.key = any (p_keys) order by s.key for update) x;
      exit when locked = n; -- else the sweep took one between the two
    end loop;
    at := tenantry.rate_clock();
    select bool_or(greatest(s.tat, at) + q.cost * q.step - at > (q.burst + 0.01) * q.step) into refused
      from unnest(p_keys, p_intervals, p_bursts, p_costs) q (key, step, burst, cost) join tenantry.rate_states s on s.key = q.key;
    if refused is not true then
      update tenantry.rate_states s set tat = greatest(s.tat, at) + q.cost * q.step
        from unnest(p_keys, p_intervals, p_costs) q (key, step, cost) where s.key = q.key;
    end if;
  end if;
  return query
    select q.place, greatest(s.tat, at) + case when refused then q.cost else 0 end * q.step - at <= (q.burst + 0.01) * q.step,
      greatest(0, floor(q.burst + 0.01 - greatest(coalesce(s.tat, 0) - at, 0) / q.step)),
      case when refused then greatest(0, greatest(coalesce(s.tat, 0), at) + (q.cost - q.burst) * q.step - at) else 0 end,
      greatest(coalesce(s.tat, 0) - at, 0)
    from unnest(p_keys, p_intervals, p_bursts, p_costs) with ordinality q (key, step, burst, cost, place)
    left join tenantry.rate_states s on s.key = q.key
    order by q.place;
end $$;

-- Deletes states that mean nothing any more from a few pages; nobody waits for it, and it waits for nobody.
create function tenantry.rate_sweep(p_pages integer) returns bigint language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  pages bigint := pg_relation_size('tenantry.rate_states') / current_setting('block_size')::bigint;
  first bigint := greatest(0, floor(random() * (pages - p_pages + 1)))::bigint;
  gone bigint;
begin
  delete from tenantry.rate_states s where s.key in (
    select x.key from tenantry.rate_states x
    where x.ctid >= format('(%s,0)', first)::tid and x.ctid < format('(%s,0)', first + p_pages)::tid
      and x.tat < tenantry.rate_clock()
    for update skip locked);
  get diagnostics gone = row_count;
  return gone;
end $$;

create function tenantry.rate_forget(p_keys text[]) returns void language sql volatile security definer
set search_path = pg_catalog, pg_temp
begin atomic
  delete from tenantry.rate_states where key = any (p_keys);
end;

-- ── policies and grants ─────────────────────────────────────────────────────────────────────────────────────────────

alter table tenantry.limits enable row level security;
create policy tenantry_floor on tenantry.limits as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.limits for select to public using (true);
create policy tenantry_access_write on tenantry.limits for all to public
  using ((select tenantry.caller_can('limits.write'))) with check ((select tenantry.caller_can('limits.write')));

alter table tenantry.limit_counters enable row level security;
create policy tenantry_floor on tenantry.limit_counters as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.limit_counters for select to public using (true);

alter table tenantry.limit_reservations enable row level security;
create policy tenantry_floor on tenantry.limit_reservations as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.limit_reservations for select to public using (
  (select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace()));

alter table tenantry.limit_gates enable row level security;
create policy tenantry_floor on tenantry.limit_gates as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());

grant execute on function tenantry.limit_reserve(text, numeric, uuid, uuid, uuid, interval, boolean), tenantry.limit_commit(uuid, numeric),
  tenantry.limit_release(uuid), tenantry.limit_extend(uuid, interval),
  tenantry.rate_take(text[], double precision[], double precision[], double precision[]), tenantry.rate_sweep(integer),
  tenantry.rate_forget(text[]) to tenantry_app, tenantry_operator;
grant select on tenantry.limits, tenantry.limit_counters, tenantry.limit_reservations to tenantry_app;
grant insert (tenant_id, principal_id, metric, period, quantity, hard), delete, update (quantity, hard) on tenantry.limits to tenantry_app;
