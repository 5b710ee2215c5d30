-- Roles, schema, migration history and the functions that every policy calls.
-- Needs a role with CREATEROLE and CREATE on the database; never a superuser.

do $$
begin
  -- roles belong to the whole cluster: another database may have made them already
  begin create role tenantry_owner nologin; exception when duplicate_object or unique_violation then null; end;
  begin create role tenantry_app nologin; exception when duplicate_object or unique_violation then null; end;
  begin create role tenantry_operator nologin noinherit; exception when duplicate_object or unique_violation then null; end;

  if current_setting('server_version_num')::int >= 160000 then
    if not (pg_has_role(current_user, 'tenantry_owner', 'usage') and pg_has_role(current_user, 'tenantry_owner', 'set')) then
      execute format('grant tenantry_owner to %I with inherit true, set true', current_user);
    end if;
    if not pg_has_role('tenantry_operator', 'tenantry_owner', 'set') then
      execute 'grant tenantry_owner to tenantry_operator with inherit false, set true'; -- a syntax error before 16
    end if;
  else
    if not pg_has_role(current_user, 'tenantry_owner', 'usage') then
      execute format('grant tenantry_owner to %I', current_user);
    end if;
    if not pg_has_role('tenantry_operator', 'tenantry_owner', 'member') then
      grant tenantry_owner to tenantry_operator;
    end if;
  end if;
end $$;

create schema tenantry authorization tenantry_owner;

set local role tenantry_owner;

-- Policies run as whoever queries: every role must be able to call the functions in them.
grant usage on schema tenantry to public;

create table tenantry.migrations (
  id integer primary key,
  name text not null,
  checksum text not null,
  tenantry_version text not null,
  applied_at timestamptz not null default now(),
  applied_by text not null default session_user
);
comment on table tenantry.migrations is 'Tenantry''s own migration history. The row is inserted before the file runs, so that racing migrators collide here.';
grant select on tenantry.migrations to tenantry_app, tenantry_operator;

-- UUIDv7 (RFC 9562, section 5.7): sorts by time. Native from PostgreSQL 18 on.
do $do$
begin
  if current_setting('server_version_num')::int >= 180000 then
    create function tenantry.uuidv7() returns uuid language sql volatile parallel safe
      return pg_catalog.uuidv7();
  else
    create function tenantry.uuidv7() returns uuid language sql volatile parallel safe
      return pg_catalog.encode(
        pg_catalog.set_bit(
          pg_catalog.set_bit(
            overlay(
              pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
              placing substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint) from 3)
              from 1 for 6),
            52, 1),
          53, 1),
        'hex')::uuid;
  end if;
end $do$;

-- The tenant of a login that an old application keeps, and that sends no context: null unless somebody declared it one.
-- Declaring replaces this body, so that a query of such a login reads no table for it. It is the session's user that
-- counts: nobody takes it on, or lays it down, by SET ROLE.
create function tenantry.legacy_tenant() returns uuid language plpgsql stable parallel safe as $$
begin
  return null;
end $$;
comment on function tenantry.legacy_tenant() is 'The tenant of a declared legacy login; written from tenantry.legacy_logins.';

-- What a query without a context gets: null (no rows), or an error when strict binding is on.
-- Strict binding replaces this body, so that the usual path reads no further setting.
create function tenantry.missing_tenant() returns uuid language plpgsql stable parallel safe as $$
begin
  return tenantry.legacy_tenant();
end $$;
comment on function tenantry.missing_tenant() is 'strict binding: off';

-- PL/pgSQL and never wrapped in a sub-select: as an index condition it runs once per scan, and the planner sees the
-- tenant's value. Every name is qualified, because a string-body function is resolved with its caller's search_path.
create function tenantry.current_tenant() returns uuid language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.tenant_id', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    return tenantry.missing_tenant();
  end if;
  return v::pg_catalog.uuid;
end $$;

-- The same, never strict: for shadow policies, which refuse nothing.
create function tenantry.context_tenant() returns uuid language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.tenant_id', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    return tenantry.legacy_tenant();
  end if;
  return v::pg_catalog.uuid;
end $$;

-- The key of the tenant in host tables that are keyed by something else than the organization's id.
create function tenantry.current_tenant_key() returns text language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.tenant_key', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    v := pg_catalog.current_setting('app.tenant_id', true);
    if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
      return tenantry.missing_tenant()::pg_catalog.text;
    end if;
  end if;
  return v;
end $$;

create function tenantry.context_tenant_key() returns text language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.tenant_key', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    v := pg_catalog.current_setting('app.tenant_id', true);
    if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
      return tenantry.legacy_tenant()::pg_catalog.text;
    end if;
  end if;
  return v;
end $$;

create function tenantry.current_user_id() returns uuid language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.user_id', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    return null;
  end if;
  return v::pg_catalog.uuid;
end $$;

comment on function tenantry.current_tenant() is 'The organization of the current query: app.tenant_id, or null (an error under strict binding).';
comment on function tenantry.context_tenant() is 'app.tenant_id or null, never an error: for shadow policies.';
comment on function tenantry.current_tenant_key() is 'The organization''s key in host tables: app.tenant_key, else app.tenant_id.';
comment on function tenantry.context_tenant_key() is 'current_tenant_key() that never raises: for shadow policies.';
comment on function tenantry.current_user_id() is 'The user of the current query: app.user_id, or null.';

-- Keeps updated_at true for the tables that have one.
create function tenantry.touch_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := pg_catalog.now();
  return new;
end $$;

-- The policies' functions answer to everybody; what is made here later answers to nobody unless granted.
alter default privileges in schema tenantry revoke execute on functions from public;
alter default privileges revoke execute on functions from public;

reset role;
