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
create trigger usage_limits after insert or update or delete on tenantry.limits
  for each row execute function tenantry.usage_limits_changed();

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

-- No foreign keys to what a reservation counts against: it lives for minutes, and only limit_take() writes it.
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
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
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
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
begin
  select e.period_start, e.period_end into period_start, period_end from tenantry.usage_edges(t, p_period, p_at) e;
  select coalesce(sum(r.quantity), 0) into reserved from tenantry.limit_reservations r
    where r.tenant_id = t and r.metric = p_metric and r.expires_at > p_at and r.reserved_at >= limit_state.period_start
      and case p_scope when 'organization' then true when 'namespace' then r.namespace_id = p_scope_id
        when 'api_key' then r.api_key_id = p_scope_id else r.end_user_id = p_scope_id end;
  case p_scope
    when 'organization' then used := tenantry.usage_value(t, null, p_metric, p_period, p_at);
    when 'namespace' then used := tenantry.usage_value(t, p_scope_id, p_metric, p_period, p_at);
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

-- Admits a quantity against every limit of the request at once, or against none. To 'look' changes nothing; to 'reserve'
-- holds the place until limit_commit() or its end; to 'consume' counts it as usage in this very transaction, once per event.
create function tenantry.limit_take(p_mode text, p_metric text, p_quantity numeric, p_namespace uuid, p_api_key uuid, p_end_user uuid,
  p_ttl interval, p_event text, out allowed boolean, out reservation_id uuid, out reserved_at timestamptz,
  out overage numeric, out answer text, out scopes jsonb)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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
  answer := case when not exists (select from tenantry.metrics m where m.name = p_metric collate "C") then 'm'
    when n is not null and not exists (select from tenantry.namespaces x where x.tenant_id = t and x.id = n) then 'n'
    when n is not null and not tenantry.namespace_usable(t, n) then 'i'
    when p_api_key is not null and not exists (select from tenantry.api_keys k where k.tenant_id = t and k.id = p_api_key) then 'k'
    when p_end_user is not null and not exists (select from tenantry.end_users e where e.tenant_id = t and e.id = p_end_user) then 'e'
  end;
  if answer is not null then
    return;
  end if;

  if p_mode <> 'look' then
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
    if beyond > 0 and l.hard then
      allowed := false;
    elsif beyond > 0 then
      overage := greatest(overage, least(beyond, p_quantity));
    end if;
  end loop;

  if p_mode = 'consume' and (allowed or exists (select from tenantry.usage_events u where u.tenant_id = t and u.id = p_event collate "C")) then
    -- what was counted before is not refused when it is sent again
    for attempt in 1 .. 2 loop
      answer := coalesce(nullif(tenantry.count_usage(array[t], array[n], array[p_api_key], array[p_metric],
        array[floor(extract(epoch from limit_take.reserved_at) / 900)::bigint], array[1], p_event,
        array[floor(extract(epoch from limit_take.reserved_at) * 1000 - floor(extract(epoch from limit_take.reserved_at) / 900) * 900000)::integer],
        array[p_quantity], array[p_end_user::text], true), ''), 'c');
      exit when answer <> '!';
      perform tenantry.open_usage(array[t]); -- its day is over, or never began
    end loop;
    allowed := answer in ('c', 'd');
    if answer = 'c' and p_end_user is not null then
      perform tenantry.count_end_user(t, p_end_user, p_metric, p_quantity, limit_take.reserved_at);
    end if;
  end if;
  overage := case when allowed and answer is distinct from 'd' then overage else 0 end;
  if allowed and p_mode = 'reserve' then
    delete from tenantry.limit_reservations r
      where r.tenant_id = t and r.id in (
        select x.id from tenantry.limit_reservations x
        where x.tenant_id = t and x.metric = p_metric and x.expires_at < limit_take.reserved_at - interval '1 day' limit 100 for update skip locked);
    insert into tenantry.limit_reservations (tenant_id, metric, quantity, namespace_id, api_key_id, end_user_id, reserved_at, expires_at)
      values (t, p_metric, p_quantity, n, p_api_key, p_end_user, limit_take.reserved_at, limit_take.reserved_at + p_ttl)
      returning id into reservation_id;
  end if;
end $$;

create function tenantry.count_end_user(p_tenant uuid, p_end_user uuid, p_metric text, p_quantity numeric, p_at timestamptz) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  insert into tenantry.limit_counters as c (tenant_id, principal_id, metric, period, period_start, quantity)
    select p_tenant, l.principal_id, l.metric, l.period, e.period_start, p_quantity
    from tenantry.limits l cross join lateral tenantry.usage_edges(p_tenant, l.period, p_at) e
    where l.tenant_id = p_tenant and l.metric = p_metric and l.principal_id = p_end_user
    order by l.period
    on conflict (tenant_id, principal_id, metric, period, period_start) do update set quantity = c.quantity + excluded.quantity;
end $$;

-- Ends a reservation, in the transaction that counts its usage. False: it was ended before.
create function tenantry.limit_commit(p_id uuid, p_quantity numeric) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  r tenantry.limit_reservations;
begin
  delete from tenantry.limit_reservations x where x.tenant_id = tenantry.current_tenant() and x.id = p_id returning x.* into r;
  if r.id is not null and r.end_user_id is not null then
    perform tenantry.count_end_user(r.tenant_id, r.end_user_id, r.metric, p_quantity, r.reserved_at);
  end if;
  return r.id is not null;
end $$;

create function tenantry.limit_release(p_id uuid) returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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

-- Decides requests one after another over arrival times that are in hand. Those of a group stand together: all or none.
create function tenantry.rate_decide(p_at double precision, p_groups integer[], p_slots integer[], p_steps double precision[],
  p_bursts double precision[], p_costs double precision[], inout tats double precision[], out allowed boolean[], out ahead double precision[])
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  n constant integer := cardinality(p_groups);
  i integer := 1;
  j integer;
  ok boolean;
begin
  allowed := '{}';
  ahead := '{}';
  while i <= n loop
    j := i;
    ok := true;
    while p_groups[j] = p_groups[i] loop
      -- a hundredth of a request forgives what the arithmetic loses
      ok := ok and greatest(tats[p_slots[j]] - p_at, 0) + p_costs[j] * p_steps[j] <= (p_bursts[j] + 0.01) * p_steps[j];
      j := j + 1;
    end loop;
    while i < j loop
      tats[p_slots[i]] := case when ok then greatest(tats[p_slots[i]], p_at) + p_costs[i] * p_steps[i] else tats[p_slots[i]] end;
      ahead[i] := greatest(tats[p_slots[i]] - p_at, 0);
      i := i + 1;
    end loop;
    allowed := allowed || ok;
  end loop;
end $$;

-- Takes for each group from all of its keys or from none. The server's clock, and its row locks in one order: exact over
-- any number of nodes. p_slots points into p_keys, which names each key once. One plan for all calls, by the index also while
-- the table is small: planning for each would cost five times what the work does.
create function tenantry.rate_take(p_keys text[], p_groups integer[], p_slots integer[], p_steps double precision[],
  p_bursts double precision[], p_costs double precision[], out allowed boolean[], out ahead double precision[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  tats double precision[];
  d record;
begin
  select array_agg(coalesce(s.tat, 0) order by k.place) into tats
    from unnest(p_keys) with ordinality k (key, place) left join tenantry.rate_states s on s.key = k.key collate "C";
  d := tenantry.rate_decide(tenantry.rate_clock(), p_groups, p_slots, p_steps, p_bursts, p_costs, tats);
  -- An arrival time only grows: what is refused by the one that everybody sees is refused for good, without a lock.
  if true = any (d.allowed) then
    loop
      insert into tenantry.rate_states (key, tat) select k, 0 from unnest(p_keys) k order by k collate "C" on conflict (key) do nothing;
      select array_agg(x.tat order by array_position(p_keys, x.key)) into tats from (
        select s.key, s.tat from tenantry.rate_states s where s.key = any (p_keys) order by s.key for update) x;
      exit when cardinality(tats) = cardinality(p_keys); -- else the sweep took one between the two
    end loop;
    d := tenantry.rate_decide(tenantry.rate_clock(), p_groups, p_slots, p_steps, p_bursts, p_costs, tats);
    update tenantry.rate_states s set tat = q.tat from unnest(p_keys, d.tats) q (key, tat) where s.key = q.key collate "C" and s.tat < q.tat;
  end if;
  allowed := d.allowed;
  ahead := d.ahead;
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

create function tenantry.rate_forget(p_keys text[]) returns void language sql volatile security definer set search_path = pg_catalog, pg_temp
  begin atomic delete from tenantry.rate_states where key = any (p_keys); end;

-- The rate that the organization's plan grants under a name.
create function tenantry.tenant_rate(p_name text) returns table (max_requests integer, period_ms bigint, burst integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query select r.max_requests, r.period_ms, r.burst from tenantry.plan_rate(tenantry.current_tenant(), p_name) r;
end $$;

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

grant execute on function tenantry.limit_take(text, text, numeric, uuid, uuid, uuid, interval, text), tenantry.limit_commit(uuid, numeric),
  tenantry.limit_release(uuid), tenantry.limit_extend(uuid, interval), tenantry.tenant_rate(text),
  tenantry.rate_take(text[], integer[], integer[], double precision[], double precision[], double precision[]), tenantry.rate_sweep(integer),
  tenantry.rate_forget(text[]) to tenantry_app, tenantry_operator;
grant select on tenantry.limits, tenantry.limit_counters, tenantry.limit_reservations to tenantry_app;
grant insert (tenant_id, principal_id, metric, period, quantity, hard), delete, update (quantity, hard) on tenantry.limits to tenantry_app;
