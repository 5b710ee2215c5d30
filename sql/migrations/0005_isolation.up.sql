-- The mode of every protected table, what shadow mode has counted, and the functions that shadow policies call.

create table tenantry.table_modes (
  table_schema text not null,
  table_name text not null,
  tenant_column text not null,
  key_type text,
  owner_column text,
  read_all_permission text,
  mode text not null default 'off' check (mode in ('off', 'shadow', 'enforced')),
  mode_since timestamptz not null default now(),
  shadow_since timestamptz,
  enforced_since timestamptz,
  keep_owner boolean not null default false,
  previous_owner text,
  previous_state jsonb,
  saved_policies jsonb,
  policy_digest text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (table_schema, table_name)
);
comment on table tenantry.table_modes is 'Protected tables by name, so that a dump carries them; the catalogue says what is really in force.';
comment on column tenantry.table_modes.key_type is 'Null: the column is a uuid compared with current_tenant(). Else the type that current_tenant_key() is cast to.';
comment on column tenantry.table_modes.previous_state is 'Row-security flags and grants before Tenantry, given back with the owner.';
comment on column tenantry.table_modes.policy_digest is 'Of the policies as the catalogue shows them after the last switch: another digest means that somebody changed them.';
comment on column tenantry.table_modes.saved_policies is 'Policies that Tenantry did not derive from this row and puts back when shadow ends.';
create trigger touch before update on tenantry.table_modes for each row execute function tenantry.touch_updated_at();

create table tenantry.shadow_misses (
  id uuid primary key default tenantry.uuidv7(),
  table_schema text not null,
  table_name text not null,
  operation text not null check (operation in ('select', 'insert', 'update', 'delete')),
  fingerprint text not null,
  call_site text not null default '',
  tenant_id uuid,
  "rows" bigint not null default 0,
  occurrences bigint not null default 0,
  status text not null default 'unconfirmed' check (status in ('confirmed', 'examined', 'unconfirmed')),
  statement text not null default '',
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  unique nulls not distinct (table_schema, table_name, operation, fingerprint, call_site, tenant_id)
);
comment on table tenantry.shadow_misses is 'What enforcement would have changed. Statement text without values.';
comment on column tenantry.shadow_misses.tenant_id is 'Null: the statement came without a context.';
comment on column tenantry.shadow_misses.status is 'confirmed: the answer differs under enforcement. examined: it read foreign rows and answers the same. unconfirmed: not compared.';
create index shadow_misses_seen on tenantry.shadow_misses (table_schema, table_name, last_seen);

-- Nobody but the owner reads or writes either table; the application reports through record_shadow_misses() alone.
alter table tenantry.table_modes enable row level security;
alter table tenantry.shadow_misses enable row level security;

-- A row that enforcement would hide or refuse. Counts it in app.miss_<op>, transaction-local: this works in read-only
-- transactions, on standbys and from any client. The first miss of a table and operation also sends a message with
-- SQLSTATE 01T01, because a rolled-back savepoint takes the setting back but not the message; its severity is INFO,
-- because clients that lower client_min_messages (Sequelize does) would never see a NOTICE.
-- op: r select (read), i insert, u update (the row as found), w update (the row as written), d delete.
-- With app.shadow_enforce on it refuses instead, so that a statement can be compared with what enforcement would answer.
create function tenantry.shadow_miss(rel pg_catalog.oid, op pg_catalog."char") returns boolean
language plpgsql volatile parallel unsafe as $$
declare
  counter constant pg_catalog.text := 'app.miss_' operator(pg_catalog.||) op::pg_catalog.text;
  counted pg_catalog.text := pg_catalog.current_setting(counter, true);
  noted pg_catalog.text := pg_catalog.current_setting('app.miss_noted', true);
  mark constant pg_catalog.text := ' ' operator(pg_catalog.||) rel::pg_catalog.text operator(pg_catalog.||) op::pg_catalog.text operator(pg_catalog.||) ' ';
  relation pg_catalog.text;
begin
  if pg_catalog.current_setting('app.shadow_enforce', true) operator(pg_catalog.=) 'on' then
    return false;
  end if;
  if counted is null or pg_catalog.length(counted) operator(pg_catalog.=) 0 then
    counted := '0';
  end if;
  if noted is null then
    noted := '';
  end if;
  if pg_catalog.strpos(noted, mark) operator(pg_catalog.=) 0 then
    select pg_catalog.format('%s.%s', n.nspname, c.relname) into relation
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
    where c.oid operator(pg_catalog.=) rel;
    raise info 'tenantry shadow % %', relation, op using errcode = '01T01';
    noted := pg_catalog.set_config('app.miss_noted', noted operator(pg_catalog.||) mark, true);
  end if;
  counted := pg_catalog.set_config(counter, (counted::pg_catalog.int8 operator(pg_catalog.+) 1)::pg_catalog.text, true);
  return true;
end $$;

-- Without any context every row would be hidden: one message for the statement instead of a call for each row.
-- A policy asks it in a sub-select, which is evaluated once, and only when a row is not the tenant's.
create function tenantry.shadow_without_context(rel pg_catalog.oid, op pg_catalog."char") returns boolean
language plpgsql volatile parallel unsafe as $$
begin
  if tenantry.context_tenant_key() is not null then
    return false;
  end if;
  return tenantry.shadow_miss(rel, op);
end $$;

-- Policies run as whoever queries.
grant execute on function tenantry.shadow_miss(pg_catalog.oid, pg_catalog."char") to public;
grant execute on function tenantry.shadow_without_context(pg_catalog.oid, pg_catalog."char") to public;

-- The recorder's only way in: adds up, never replaces, never lowers a verdict. What is written here comes from the
-- application, so it is bounded: beyond 20,000 kinds new ones are counted per table and operation alone, and no time is
-- in the future.
create function tenantry.record_shadow_misses(misses jsonb) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  room bigint := 20000 - (select count(*) from (select from tenantry.shadow_misses limit 20000) x);
  verdicts constant text[] := array['unconfirmed', 'examined', 'confirmed'];
  recorded integer;
begin
  insert into tenantry.shadow_misses as known
    (table_schema, table_name, operation, fingerprint, call_site, tenant_id, "rows", occurrences, status, statement, first_seen, last_seen)
  with given as (
    select left(coalesce(m.table_schema, ''), 63) as table_schema, left(coalesce(m.table_name, ''), 63) as table_name, m.operation,
      left(m.fingerprint, 200) as fingerprint, left(coalesce(m.call_site, ''), 500) as call_site, m.tenant_id,
      greatest(m."rows", 0) as "rows", greatest(m.occurrences, 0) as occurrences,
      coalesce(array_position(verdicts, m.status), 1) as verdict, left(coalesce(m.statement, ''), 4000) as statement,
      least(m.first_seen, now()) as first_seen, least(m.last_seen, now()) as last_seen
    from jsonb_to_recordset(misses) as m(table_schema text, table_name text, operation text, fingerprint text, call_site text,
         tenant_id uuid, "rows" bigint, occurrences bigint, status text, statement text, first_seen timestamptz, last_seen timestamptz)
  ), placed as (
    select g.*, exists (
      select from tenantry.shadow_misses s
      where s.table_schema = g.table_schema and s.table_name = g.table_name and s.operation = g.operation
        and s.fingerprint = g.fingerprint and s.call_site = g.call_site and s.tenant_id is not distinct from g.tenant_id) as seen
    from given g
  ), kept as (
    select p.*, p.seen or row_number() over (partition by p.seen) <= room as detailed from placed p
  ), bounded as (
    -- a protected table keeps its name: its enforcement waits for what is confirmed
    select k.*, k.detailed or exists (
      select from tenantry.table_modes t where t.table_schema = k.table_schema and t.table_name = k.table_name) as named
    from kept k
  )
  select case when b.named then b.table_schema else '' end, case when b.named then b.table_name else '' end, b.operation,
    case when b.detailed then b.fingerprint else 'overflow' end, case when b.detailed then b.call_site else '' end,
    case when b.detailed then b.tenant_id end, sum(b."rows"), sum(b.occurrences), verdicts[max(b.verdict)],
    max(case when b.detailed then b.statement else '' end), min(b.first_seen), max(b.last_seen)
  from bounded b
  group by 1, 2, 3, 4, 5, 6
  on conflict (table_schema, table_name, operation, fingerprint, call_site, tenant_id) do update set
    "rows" = known."rows" + excluded."rows",
    occurrences = known.occurrences + excluded.occurrences,
    last_seen = greatest(known.last_seen, excluded.last_seen),
    statement = case when known.statement = '' then excluded.statement else known.statement end,
    status = verdicts[greatest(array_position(verdicts, known.status), array_position(verdicts, excluded.status))];
  get diagnostics recorded = row_count;
  return recorded;
end $$;
comment on function tenantry.record_shadow_misses(jsonb) is 'Adds what a recorder has counted, given as an array of objects with the columns of tenantry.shadow_misses.';
grant execute on function tenantry.record_shadow_misses(jsonb) to tenantry_app;

-- The kernel table whose mode may be switched like a host table's.
insert into tenantry.table_modes (table_schema, table_name, tenant_column, mode, enforced_since)
select n.nspname, c.relname, 'tenant_id', case when c.relrowsecurity then 'enforced' else 'off' end, case when c.relrowsecurity then now() end
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass('tenantry.resources');
