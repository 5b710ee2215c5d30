/**
 * What the login of this connection could do past the policies: one row per weakness. The login is the session's
 * user: whatever role was set, it can go back to it. Before 16 every membership can be entered; since then SET and
 * INHERIT are granted one by one, and ADMIN can grant the rest. $1: the schema of Tenantry's own tables; $2: another
 * login to look at.
 */
export const runtimeLoginText = `
with login as (
  select * from pg_catalog.pg_roles where rolname = coalesce($2::name, session_user)
),
protected as (
  select c.oid, c.relowner as owner, pg_catalog.format('%I.%I', n.nspname, c.relname) as name
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')
    and (c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($1::text))
         or exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname like 'tenantry\\_%'))
),
reachable as (
  select r.* from pg_catalog.pg_roles r cross join login l
  where r.oid <> l.oid and not l.rolsuper and r.rolname not like 'pg\\_%'
    and case when pg_catalog.current_setting('server_version_num')::int < 160000
             then pg_catalog.pg_has_role(l.oid, r.oid, 'member')
             else pg_catalog.pg_has_role(l.oid, r.oid, 'set') or pg_catalog.pg_has_role(l.oid, r.oid, 'usage')
               or pg_catalog.pg_has_role(l.oid, r.oid, 'member with admin option') end
)
select a.name, pg_catalog.format(a.detail, l.rolname) as detail
from login l
cross join lateral (values
  (1, 'superuser', l.rolsuper, '%I is a superuser'),
  (2, 'bypassrls', l.rolbypassrls, '%I has BYPASSRLS'),
  (3, 'createrole', l.rolcreaterole, '%I has CREATEROLE'),
  (4, 'replication', l.rolreplication, '%I has REPLICATION')
) a (n, name, present, detail)
where a.present
union all
select 'set-role:' || r.rolname, pg_catalog.format('%I can become %I, which %s', l.rolname, r.rolname, w.why)
from reachable r
cross join login l
cross join lateral (
  select pg_catalog.string_agg(v.what, ' and ' order by v.n) as why
  from (values
    (1, r.rolsuper, 'is a superuser'),
    (2, r.rolbypassrls, 'has BYPASSRLS'),
    (3, r.rolcreaterole, 'has CREATEROLE'),
    (4, r.rolreplication, 'has REPLICATION'),
    (5, exists (select from protected p where p.owner = r.oid), 'owns protected tables')
  ) v (n, present, what)
  where v.present
) w
where w.why is not null
union all
select 'predefined-role:' || r.rolname, pg_catalog.format('%I is a member of %s', l.rolname, r.rolname)
from login l
join pg_catalog.pg_roles r on r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
  'pg_write_server_files', 'pg_execute_server_program', 'pg_create_subscription')
where not l.rolsuper and pg_catalog.pg_has_role(l.oid, r.oid, 'member')
union all
select 'owns:' || p.name, pg_catalog.format('%I owns %s', l.rolname, p.name)
from protected p join login l on l.oid = p.owner
order by 1`;
