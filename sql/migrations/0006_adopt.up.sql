-- Adoption: the state of bringing an existing database under tenancy. Everything a run needs to go on after kill -9 is here.

set local role tenantry_owner;

create table tenantry.adoption_runs (
  id uuid primary key default tenantry.uuidv7(),
  -- the whole plan with every statement, as it was when the run began: later versions of the file do not change a run under way
  plan json not null,
  plan_hash text not null,
  status text not null default 'open' check (status in ('open', 'undone')),
  -- the furthest phase that is complete
  phase text not null default 'preflight'
    check (phase in ('preflight', 'expand', 'backfill', 'verify', 'tighten', 'shadow', 'enforced', 'contract')),
  direction text not null default 'forward' check (direction in ('forward', 'undo')),
  -- the lease: one runner at a time, taken over when its heartbeat is old or its backend is gone
  runner uuid,
  runner_pid integer,
  lease_until timestamptz,
  last_error text,
  -- somebody wants it to stand still: its runner stops, and none begins
  paused_at timestamptz,
  schema_before text not null,
  -- names of the hooks that it was begun with: a later command without them would leave some out
  hooks text[] not null default '{}',
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table tenantry.adoption_runs is 'One row per adoption of this database; at most one is open.';
create unique index adoption_runs_one_open on tenantry.adoption_runs ((true)) where status = 'open';

create table tenantry.adoption_steps (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  id text not null,
  position integer not null,
  phase text not null,
  table_name text,
  status text not null default 'pending' check (status in ('pending', 'running', 'done', 'undone')),
  -- where a backfill stands: {page, pages, rate}
  cursor jsonb,
  rows_done bigint not null default 0,
  -- an estimate of the server's, taken when the step began
  rows_total bigint,
  -- who was in the way of its lock at the last look, a line each
  waiting_for jsonb,
  -- what undo needs and only the run could know: definitions and owners as they were
  before jsonb,
  attempts integer not null default 0,
  started_at timestamptz,
  finished_at timestamptz,
  primary key (run_id, id)
);
comment on table tenantry.adoption_steps is 'One row per step of a run; written in the same transaction as the step''s own work.';

create view tenantry.adoption_status as
  select r.id as run_id, r.status, r.phase, r.direction, r.paused_at is not null as paused, r.paused_at,
         r.runner is not null and r.lease_until > now()
           and exists (select from pg_catalog.pg_stat_activity a where a.pid = r.runner_pid and a.datname = current_database()) as running,
         r.runner_pid, r.last_error, r.started_at, r.updated_at, r.finished_at,
         s.steps, s.steps_done, s.rows_done, s.waiting_for
  from tenantry.adoption_runs r
  cross join lateral (
    select count(*)::int as steps, count(*) filter (where s.status = 'done')::int as steps_done, coalesce(sum(s.rows_done), 0)::bigint as rows_done,
           (select jsonb_object_agg(w.id, w.waiting_for) from tenantry.adoption_steps w where w.run_id = r.id and w.waiting_for is not null) as waiting_for
    from tenantry.adoption_steps s where s.run_id = r.id) s;
comment on view tenantry.adoption_status is 'One row per adoption: where it stands, whether a process works on it, and who is in its way.';

create view tenantry.adoption_progress as
  select s.run_id, s.id as step, s.phase, s.table_name, s.status, s.rows_done as rows,
         case when s.status = 'done' then s.rows_done else greatest(s.rows_total, s.rows_done) end as total,
         p.part, p.rate,
         case when s.status = 'running' and p.part > 0 and p.part < 1 and p.rate > 0
              then now() + make_interval(secs => (s.rows_done / p.part * (1 - p.part) / p.rate)::float8) end as eta,
         s.waiting_for, s.started_at, s.finished_at
  from tenantry.adoption_steps s
  cross join lateral (
    select case when s.status = 'done' then 1 else (s.cursor ->> 'page')::float8 / nullif((s.cursor ->> 'pages')::float8, 0) end as part,
           (s.cursor ->> 'rate')::float8 as rate) p
  where s.rows_total is not null or s.rows_done > 0;
comment on view tenantry.adoption_progress is 'One row per table that is being filled or was: rows, the estimated total, the part of its pages, rows per second, and when it will be over.';
grant select on tenantry.adoption_status, tenantry.adoption_progress to tenantry_operator;

create table tenantry.adoption_organizations (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  organization_id uuid not null,
  primary key (run_id, organization_id)
);
comment on table tenantry.adoption_organizations is 'Organizations that an adoption made out of root rows: undo removes those that nobody has joined.';

create table tenantry.adoption_released (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  table_name text not null,
  row_key text not null,
  organization_id uuid not null references tenantry.organizations (id) on delete cascade,
  released_at timestamptz not null default now(),
  primary key (table_name, row_key)
);
comment on table tenantry.adoption_released is 'Rows that an operator took out of quarantine, and the organization that they belong to since.';
create index adoption_released_organization on tenantry.adoption_released (organization_id);
create index adoption_released_run on tenantry.adoption_released (run_id);

create table tenantry.adoption_duplicates (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  table_name text not null,
  original_key text not null,
  organization_id uuid not null,
  new_key text not null,
  created_at timestamptz not null default now(),
  primary key (table_name, original_key, organization_id),
  unique (table_name, new_key)
);
comment on table tenantry.adoption_duplicates is 'Rows that were used by several tenants, and the copy of each that a tenant got; undo points back and removes the copies, but for those that were changed since.';
create index adoption_duplicates_run on tenantry.adoption_duplicates (run_id);

-- The organization of a root row, made when there is none. Called by the fill trigger of the root table and by the backfill.
create function tenantry.adopt_organization(p_key text, p_name text) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
  v_name text := coalesce(nullif(left(btrim(p_name), 255), ''), 'Tenant ' || p_key);
  v_base text := btrim(left(regexp_replace(lower(v_name), '[^a-z0-9]+', '-', 'g'), 40), '-');
  v_slug text;
begin
  select o.id into v_id from tenantry.organizations o where o.key = p_key;
  if v_id is not null then
    return v_id;
  end if;
  if v_base = '' then
    v_base := 'tenant';
  end if;
  foreach v_slug in array array[v_base, v_base || '-' || left(md5(p_key), 8), 'tenant-' || md5(p_key)] loop
    insert into tenantry.organizations (name, slug, key) values (v_name, v_slug, p_key)
      on conflict do nothing returning id into v_id;
    if v_id is null then
      select o.id into v_id from tenantry.organizations o where o.key = p_key;
    else
      insert into tenantry.adoption_organizations (run_id, organization_id)
        select r.id, v_id from tenantry.adoption_runs r where r.status = 'open' on conflict do nothing;
    end if;
    if v_id is not null then
      return v_id;
    end if;
  end loop;
  raise exception 'tenantry: no free slug for the organization of key %', p_key using errcode = '23505';
end $$;

-- Hooks that ran, each written in the transaction of the hook's own work: so it ran once, whatever was killed.
create table tenantry.adoption_hooks (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  position bigint generated always as identity,
  name text not null,
  -- before and after a phase, or once for an organization that the adoption made
  moment text not null check (moment in ('before', 'after', 'organization')),
  phase text not null,
  organization_id uuid,
  -- it has a way back, which undo must take
  has_undo boolean not null,
  messages text[] not null default '{}',
  ran_at timestamptz not null default now(),
  primary key (run_id, position),
  unique nulls not distinct (run_id, name, organization_id)
);
comment on table tenantry.adoption_hooks is 'Hooks of an adoption that ran, in their order; undo takes them back the other way round.';

-- Logins that an old application goes on with after enforcement: each sees and writes one tenant without sending a context.
create table tenantry.legacy_logins (
  login text primary key,
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  declared_by text not null default session_user,
  declared_at timestamptz not null default now()
);
create index legacy_logins_tenant_id_idx on tenantry.legacy_logins (tenant_id);
comment on table tenantry.legacy_logins is 'Declared by: tenantry adopt legacy-login. tenantry.legacy_tenant() is written from it.';

-- For doctor, over the application's connection: the names and nothing else.
create function tenantry.legacy_login_names() returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp
as 'select l.login from tenantry.legacy_logins l';
grant execute on function tenantry.legacy_login_names() to tenantry_app, tenantry_operator;

-- The table says it, the function answers: the body has constants, so that policies read no table.
create function tenantry.write_legacy_tenant() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_answers text;
begin
  select string_agg(format(E'  if session_user operator(pg_catalog.=) %L::pg_catalog.name then\n    return %L::pg_catalog.uuid;\n  end if;\n', l.login, l.tenant_id), '' order by l.login)
    into v_answers from tenantry.legacy_logins l;
  execute format('create or replace function tenantry.legacy_tenant() returns uuid language plpgsql stable parallel safe as %L',
    E'\nbegin\n' || coalesce(v_answers, '') || E'  return null;\nend ');
  return null;
end $$;
create trigger legacy_logins_written after insert or update or delete or truncate on tenantry.legacy_logins
  for each statement execute function tenantry.write_legacy_tenant();

create table tenantry.adoption_accepted (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  -- as the plan names it: schema.table, quoted where it must be
  table_name text not null,
  -- of a foreign key; empty for the table itself
  columns text[] not null default '{}',
  class text not null check (class in ('shared', 'owned', 'key')),
  accepted_at timestamptz not null default now(),
  primary key (run_id, table_name, columns)
);
comment on table tenantry.adoption_accepted is 'Tables and foreign keys that came after the plan and that the committed plan file decides about: tenantry adopt plan --accept.';

-- Where the open adoption and the catalogue differ, one row each. SECURITY DEFINER, because the application's login warns at
-- its start and may not read the plan; it learns names that the catalogue shows to everybody.
--   table-new    nobody classified it        table-gone   the plan names it, the database has none
--   key-new      leads to rows of tenants and nothing compares it      key-gone   a tenant comes by it
--   trigger-off  a trigger that keeps tenants right is missing or disabled, though its step is done
create function tenantry.adoption_drift() returns table (kind text, table_name text, columns text[], parent text, object_name text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with run as (
    select r.id, r.plan from tenantry.adoption_runs r where r.status = 'open'
  ),
  planned as (
    select r.id as run_id, r.plan ->> 'column' as tenant_column, t ->> 'table' as name,
           t ->> 'class' in ('root', 'owned', 'join') as tenant, t -> 'via' as via, t -> 'checks' as checks, t -> 'known' as known
    from run r, json_array_elements(r.plan -> 'tables') t
  ),
  planned_key as (
    select p.name, k.key ->> 'name' as key_name, array(select json_array_elements_text(k.key -> 'columns')) as columns,
           k.key ->> 'parent' as parent, k.used and coalesce(k.key ->> 'confirmed', '') <> 'true' as used
    from planned p
    cross join lateral (
      select e as key, true as used from json_array_elements(p.via) e
      union all select e, false from json_array_elements(p.checks) e
      union all select e, false from json_array_elements(coalesce(p.known, '[]')) e
    ) k
  ),
  host as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as name, n.nspname, c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
      and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'
      and n.oid <> (select k.relnamespace from pg_class k where k.oid = 'tenantry.migrations'::regclass)
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  ),
  host_key as (
    select k.conname, c.name, p.name as parent,
           array(select a.attname::text from unnest(k.conkey) with ordinality u(num, o)
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.o) as columns,
           array(select a.attname::text from unnest(k.confkey) with ordinality u(num, o)
                 join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.o) as parent_columns
    from pg_constraint k
    join host c on c.oid = coalesce(pg_partition_root(k.conrelid)::oid, k.conrelid)
    join host p on p.oid = coalesce(pg_partition_root(k.confrelid)::oid, k.confrelid)
    where k.contype = 'f' and k.conparentid = 0
  ),
  accepted as (
    select a.table_name, a.columns from tenantry.adoption_accepted a join run r on r.id = a.run_id
  )
  select 'table-new', h.name, '{}'::text[], null::text, h.name
  from host h
  where exists (select from run)
    and h.name not in (select p.name from planned p)
    and not exists (select from accepted a where a.table_name = h.name and a.columns = '{}')
    and not exists (select from tenantry.table_modes m where m.table_schema = h.nspname and m.table_name = h.relname)
  union all
  select 'table-gone', p.name, '{}', null, p.name from planned p where p.name not in (select h.name from host h)
  union all
  select distinct on (k.name, k.columns, k.parent) 'key-new', k.name, k.columns, k.parent, k.conname::text
  from host_key k
  join planned c on c.name = k.name
  join planned p on p.name = k.parent and p.tenant
  where not exists (select from planned_key q where q.name = k.name and q.columns = k.columns and q.parent = k.parent)
    and not exists (select from accepted a where a.table_name = k.name and a.columns = k.columns)
    -- a key that carries the tenant on both ends compares it by itself
    and not exists (select from unnest(k.columns, k.parent_columns) u(own, other) where u.own = c.tenant_column and u.other = c.tenant_column)
  union all
  select 'key-gone', q.name, q.columns, q.parent, q.key_name
  from planned_key q
  where q.used and q.name in (select h.name from host h) and q.parent in (select h.name from host h)
    and not exists (select from host_key k where k.name = q.name and k.columns = q.columns and k.parent = q.parent)
    and not exists (select from accepted a where a.table_name = q.name and a.columns = q.columns)
  union all
  select 'trigger-off', p.name, '{}', null, w.trigger_name
  from planned p
  join host h on h.name = p.name
  cross join (values ('expand/%s/triggers', 'zz_tenantry_fill_insert'), ('expand/%s/triggers', 'zz_tenantry_fill_update'),
                     ('enforced/%s/references', 'zz_tenantry_refs_insert'), ('enforced/%s/references', 'zz_tenantry_refs_update'),
                     ('tighten/%s/guard', 'zz_tenantry_unassigned'))
    as w(step, trigger_name)
  where exists (select from tenantry.adoption_steps s where s.run_id = p.run_id and s.id = format(w.step, p.name) and s.status = 'done')
    and not exists (select from pg_trigger t where t.tgrelid = h.oid and t.tgname = w.trigger_name and t.tgenabled in ('O', 'A'))
  order by 1, 2, 3
$$;
comment on function tenantry.adoption_drift() is 'Where the open adoption and the catalogue differ: what came, went or was switched off since the plan was made.';
revoke all on function tenantry.adoption_drift() from public;
grant execute on function tenantry.adoption_drift() to tenantry_app, tenantry_operator;

-- Tables that a plan or its reader said to be the same for every tenant. SECURITY DEFINER as above: names alone.
create function tenantry.adoption_shared() returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t ->> 'table' from tenantry.adoption_runs r, json_array_elements(r.plan -> 'tables') t
  where r.status = 'open' and t ->> 'class' = 'shared'
  union all
  select a.table_name from tenantry.adoption_accepted a join tenantry.adoption_runs r on r.id = a.run_id
  where r.status = 'open' and a.class = 'shared'
$$;
comment on function tenantry.adoption_shared() is 'Tables that the open adoption classes as shared.';
revoke all on function tenantry.adoption_shared() from public;
grant execute on function tenantry.adoption_shared() to tenantry_app, tenantry_operator;

-- Rows that decisions of the open adoption leave without a tenant: only operators see them. By the index that leads with the column.
create function tenantry.adoption_quarantine() returns table (table_name text, waiting bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_column text;
begin
  for table_name, v_column in
    select t ->> 'table', r.plan ->> 'column' from tenantry.adoption_runs r, json_array_elements(r.plan -> 'tables') t
    where r.status = 'open' and r.phase in ('tighten', 'shadow', 'enforced', 'contract') and to_regclass(t ->> 'table') is not null
      and (exists (select from tenantry.adoption_steps s
                   where s.run_id = r.id and s.id = format('tighten/%s/guard', t ->> 'table') and s.status = 'done')
        or json_array_length(coalesce(t -> 'rule' -> 'usedBy', '[]')) > 0)
    order by 1
  loop
    execute format('select count(*) from %s where %I is null', to_regclass(table_name), v_column) into waiting;
    return next;
  end loop;
end $$;
comment on function tenantry.adoption_quarantine() is 'How many rows wait without a tenant, for each table where decisions leave some.';
revoke all on function tenantry.adoption_quarantine() from public;
grant execute on function tenantry.adoption_quarantine() to tenantry_app, tenantry_operator;

-- ── memberships out of the host's own user tables ───────────────────────────────────────────────────────────────────
-- The plan's `memberships:` becomes functions of fixed names, made by the run and dropped by its undo: adopt_old_users(keys) and
-- adopt_old_members(keys) read the old tables, adopt_sync(keys, alone) calls adopt_sync_users() below with the plan's decisions.

create table tenantry.adoption_users (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  user_id uuid not null references tenantry.users (id) on delete cascade,
  primary key (run_id, user_id)
);
create index adoption_users_user_id_idx on tenantry.adoption_users (user_id);
comment on table tenantry.adoption_users is 'Users that an adoption made: undo removes those that have joined nothing else.';

create table tenantry.adoption_user_keys (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  old_key text not null,
  -- null while the old row has no address that can be used
  user_id uuid references tenantry.users (id) on delete set null,
  primary key (run_id, old_key)
);
create index adoption_user_keys_user_id_idx on tenantry.adoption_user_keys (user_id);
comment on table tenantry.adoption_user_keys is 'Which user each row of the old user table is.';

create table tenantry.adoption_members (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  tenant_id uuid not null,
  user_id uuid not null,
  -- gone from the old tables, or no administrator there any more, and kept as the organization's last one
  held boolean not null default false,
  primary key (run_id, tenant_id, user_id),
  foreign key (tenant_id, user_id) references tenantry.org_members (tenant_id, user_id) on delete cascade
);
create index adoption_members_member_idx on tenantry.adoption_members (tenant_id, user_id);
create index adoption_members_user_id_idx on tenantry.adoption_members (run_id, user_id);
create index adoption_members_held_idx on tenantry.adoption_members (run_id, tenant_id) where held;
comment on table tenantry.adoption_members is 'Memberships that an adoption made out of the old tables; others are never touched.';

-- Makes the memberships of these users what the old tables say, and nothing else: memberships that others made stay as they are.
create function tenantry.adopt_sync_members(p_users uuid[]) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
  v_keys text[] := array(select k.old_key from tenantry.adoption_user_keys k where k.run_id = v_run and k.user_id = any (p_users));
  v_changed integer;
  v_led uuid[];
  v_held uuid[];
  r record;
begin
  -- one statement, one snapshot: what it compares belongs together
  with expected as (
    select o.id as tenant_id, k.user_id, case when bool_or(m.role = 'admin') then 'admin' else 'member' end as role
    from tenantry.adopt_old_members(v_keys) m
    join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = m.old_key and k.user_id is not null
    join tenantry.organizations o on o.key = m.org_key
    group by 1, 2
  ), added as (
    insert into tenantry.org_members (tenant_id, user_id, role)
      select e.tenant_id, e.user_id, e.role from expected e
      where not exists (select from tenantry.org_members x where x.tenant_id = e.tenant_id and x.user_id = e.user_id)
      order by 1, 2
      on conflict do nothing returning tenant_id, user_id, role
  ), recorded as (
    insert into tenantry.adoption_members (run_id, tenant_id, user_id)
      select v_run, a.tenant_id, a.user_id from added a on conflict do nothing
  ), promoted as (
    update tenantry.org_members m set role = 'admin'
      from expected e, tenantry.adoption_members a
      where e.role = 'admin' and m.role = 'member' and m.tenant_id = e.tenant_id and m.user_id = e.user_id
        and a.run_id = v_run and a.tenant_id = m.tenant_id and a.user_id = m.user_id
      returning m.tenant_id, m.role
  ), changed as (
    select a.tenant_id, a.role from added a union all select p.tenant_id, p.role from promoted p
  )
  select count(*), array_agg(distinct c.tenant_id) filter (where c.role = 'admin') into v_changed, v_led from changed c;

  update tenantry.adoption_members a set held = false where a.run_id = v_run and a.user_id = any (p_users) and a.held;
  for r in
    with expected as (
      select o.id as tenant_id, k.user_id, case when bool_or(m.role = 'admin') then 'admin' else 'member' end as role
      from tenantry.adopt_old_members(v_keys) m
      join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = m.old_key and k.user_id is not null
      join tenantry.organizations o on o.key = m.org_key
      group by 1, 2
    )
    select a.tenant_id, a.user_id, m.role, e.role as wanted
    from tenantry.adoption_members a
    join tenantry.org_members m on m.tenant_id = a.tenant_id and m.user_id = a.user_id
    left join expected e on e.tenant_id = a.tenant_id and e.user_id = a.user_id
    where a.run_id = v_run and a.user_id = any (p_users) and (e.role is null or (e.role = 'member' and m.role = 'admin'))
    order by 1, 2
  loop
    if r.role = 'admin' then
      perform 1 from tenantry.organizations o where o.id = r.tenant_id for no key update;
      if not exists (select from tenantry.org_members m where m.tenant_id = r.tenant_id and m.role = 'admin' and m.user_id <> r.user_id) then
        update tenantry.adoption_members a set held = true where a.run_id = v_run and a.tenant_id = r.tenant_id and a.user_id = r.user_id;
        continue;
      end if;
    end if;
    if r.wanted is null then
      delete from tenantry.org_members m where m.tenant_id = r.tenant_id and m.user_id = r.user_id;
    else
      update tenantry.org_members m set role = r.wanted where m.tenant_id = r.tenant_id and m.user_id = r.user_id;
    end if;
    v_changed := v_changed + 1;
  end loop;

  -- whoever was kept as the last administrator may go, now that there is another
  v_held := array(select distinct a.user_id from tenantry.adoption_members a
    where a.run_id = v_run and a.tenant_id = any (v_led) and a.held and a.user_id <> all (p_users));
  if v_held <> '{}' then
    v_changed := v_changed + tenantry.adopt_sync_members(v_held);
  end if;
  delete from tenantry.users u using tenantry.adoption_users a
    where a.run_id = v_run and a.user_id = u.id and u.id = any (p_users)
      and not exists (select from tenantry.adoption_user_keys k where k.run_id = v_run and k.user_id = u.id)
      and not exists (select from tenantry.org_members m where m.user_id = u.id);
  return v_changed;
end $$;

-- Brings users and memberships in step with these rows of the old user table. `p_merge`: rows with one address are one user.
-- `p_alone`: nobody else works on the same rows meanwhile; else those who do share them, and no two wait for each other.
create function tenantry.adopt_sync_users(p_keys text[], p_merge boolean, p_alone boolean) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
  v_users uuid[];
  r record;
begin
  if v_run is null or coalesce(p_keys, '{}') = '{}' then
    return 0;
  end if;
  insert into tenantry.adoption_user_keys (run_id, old_key)
    select v_run, o.old_key from tenantry.adopt_old_users(p_keys) o order by 2 on conflict do nothing;
  if p_alone then
    perform 1 from tenantry.adoption_user_keys k
      where k.run_id = v_run and (k.old_key = any (p_keys)
        or k.user_id in (select x.user_id from tenantry.adoption_user_keys x where x.run_id = v_run and x.old_key = any (p_keys)))
      order by k.old_key for update;
  else
    perform 1 from tenantry.adoption_user_keys k where k.run_id = v_run and k.old_key = any (p_keys) order by k.old_key for key share;
  end if;
  with gone as (
    delete from tenantry.adoption_user_keys k
      where k.run_id = v_run and k.old_key = any (p_keys)
        and not exists (select from tenantry.adopt_old_users(p_keys) o where o.old_key = k.old_key)
      returning k.user_id
  )
  select coalesce(array_agg(g.user_id) filter (where g.user_id is not null), '{}') into v_users from gone g;
  -- another address: a user that is this adoption's and this row's alone takes it along; else the row is another user from now on
  for r in
    select k.old_key, k.user_id, o.email, o.email_key,
           exists (select from tenantry.adoption_users a where a.run_id = v_run and a.user_id = k.user_id)
             and not exists (select from tenantry.adoption_user_keys x where x.run_id = v_run and x.user_id = k.user_id and x.old_key <> k.old_key)
             and not exists (select from tenantry.users y where y.email_key = o.email_key) as renames
    from tenantry.adoption_user_keys k
    join tenantry.adopt_old_users(p_keys) o on o.old_key = k.old_key
    join tenantry.users u on u.id = k.user_id
    where k.run_id = v_run and k.old_key = any (p_keys) and o.email_key is distinct from u.email_key
  loop
    if r.renames and r.email_key is not null then
      update tenantry.users u set email = r.email where u.id = r.user_id;
    else
      update tenantry.adoption_user_keys k set user_id = null where k.run_id = v_run and k.old_key = r.old_key;
      v_users := v_users || r.user_id;
    end if;
  end loop;
  with made as (
    insert into tenantry.users (email, name)
      select distinct on (o.email_key) o.email, o.name
      from tenantry.adopt_old_users(p_keys) o
      join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = o.old_key and k.user_id is null
      where o.email_key is not null order by o.email_key, o.old_key
      on conflict (email_key) do nothing returning id
  )
  insert into tenantry.adoption_users (run_id, user_id) select v_run, m.id from made m on conflict do nothing;
  update tenantry.adoption_user_keys k set user_id = u.id
    from (
      select o.old_key, o.email_key, row_number() over (partition by o.email_key order by o.old_key) as nth
      from tenantry.adopt_old_users(p_keys) o
      join tenantry.adoption_user_keys x on x.run_id = v_run and x.old_key = o.old_key and x.user_id is null
    ) n
    join tenantry.users u on u.email_key = n.email_key
    where k.run_id = v_run and k.old_key = n.old_key and k.user_id is null
      and (p_merge or (n.nth = 1 and not exists (select from tenantry.adoption_user_keys y where y.run_id = v_run and y.user_id = u.id)));
  update tenantry.users u set name = o.name
    from tenantry.adopt_old_users(p_keys) o, tenantry.adoption_user_keys k, tenantry.adoption_users a
    where k.run_id = v_run and k.old_key = o.old_key and a.run_id = v_run and a.user_id = k.user_id and u.id = k.user_id
      and o.name is not null and o.name is distinct from u.name
      and not exists (select from tenantry.adoption_user_keys x where x.run_id = v_run and x.user_id = u.id and x.old_key < k.old_key);
  return tenantry.adopt_sync_members(v_users || array(
    select distinct k.user_id from tenantry.adoption_user_keys k
    where k.run_id = v_run and k.old_key = any (p_keys) and k.user_id is not null));
end $$;

-- Memberships that were there before their organization.
create function tenantry.adopt_organization_members() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  if to_regprocedure('tenantry.adopt_sync(text[],boolean)') is not null and exists (
    select from tenantry.adoption_steps s join tenantry.adoption_runs r on r.id = s.run_id
    where r.status = 'open' and s.id = 'backfill/memberships' and s.status in ('running', 'done')) then
    perform tenantry.adopt_sync(array(select k from tenantry.adopt_old_keys_of(new.key) k), false);
  end if;
  return null;
exception when others then
  raise log 'tenantry: the old memberships of organization % wait: %', new.key, sqlerrm;
  return null;
end $$;
create trigger zz_adopt_members after insert on tenantry.organizations
  for each row execute function tenantry.adopt_organization_members();

-- Takes the memberships of the open adoption back: what it made, and nothing else. An organization that it made and that others have
-- joined stays, and keeps its administrators; whoever has joined elsewhere stays a user.
create function tenantry.adopt_forget_members() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
begin
  -- an organization whose every member goes is left without an administrator, as it was before
  alter table tenantry.org_members disable trigger member_last_admin_delete;
  delete from tenantry.org_members m using tenantry.adoption_members a
    where a.run_id = v_run and m.tenant_id = a.tenant_id and m.user_id = a.user_id
      and (m.role <> 'admin'
        or not exists (select from tenantry.adoption_organizations o where o.run_id = v_run and o.organization_id = m.tenant_id)
        or not exists (select from tenantry.org_members x where x.tenant_id = m.tenant_id
             and not exists (select from tenantry.adoption_members y where y.run_id = v_run and y.tenant_id = x.tenant_id and y.user_id = x.user_id))
        or exists (select from tenantry.org_members x where x.tenant_id = m.tenant_id and x.role = 'admin'
             and not exists (select from tenantry.adoption_members y where y.run_id = v_run and y.tenant_id = x.tenant_id and y.user_id = x.user_id)));
  alter table tenantry.org_members enable trigger member_last_admin_delete;
  delete from tenantry.users u using tenantry.adoption_users a
    where a.run_id = v_run and a.user_id = u.id and not exists (select from tenantry.org_members m where m.user_id = u.id);
  delete from tenantry.adoption_members a where a.run_id = v_run;
  delete from tenantry.adoption_user_keys k where k.run_id = v_run;
  delete from tenantry.adoption_users a where a.run_id = v_run;
end $$;

reset role;
