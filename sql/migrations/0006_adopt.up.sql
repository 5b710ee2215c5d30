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

-- Tables that the open adoption has yet to bring into a mode: those whose rows are copied per tenant come last. SECURITY DEFINER as above.
create function tenantry.adoption_underway() returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select distinct s.table_name from tenantry.adoption_runs r join tenantry.adoption_steps s on s.run_id = r.id
  where r.status = 'open' and s.table_name is not null and s.id like '%/mode' and s.status <> 'done'
$$;
comment on function tenantry.adoption_underway() is 'Tables that the open adoption has not brought to their last mode yet.';
revoke all on function tenantry.adoption_underway() from public;
grant execute on function tenantry.adoption_underway() to tenantry_app, tenantry_operator;

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

reset role;
