-- TD002: the login can become a role that is above row-level security
with protected as (
  select * from tenantry.protected_tables() where relation is not null
),
login as (
  select oid, rolname, rolsuper from pg_catalog.pg_roles where rolname = current_user
),
reachable as (
  -- before 16 every membership can be entered; since then SET, INHERIT and ADMIN are granted one by one
  select r.* from pg_catalog.pg_roles r cross join login l
  where r.oid <> l.oid and not l.rolsuper
    and case when current_setting('server_version_num')::int < 160000 then pg_has_role(l.oid, r.oid, 'member')
             else pg_has_role(l.oid, r.oid, 'set') or pg_has_role(l.oid, r.oid, 'usage')
               or pg_has_role(l.oid, r.oid, 'member with admin option') end
)
select format('login %I', l.rolname) as object, null::text as level,
       format('%I is a member of %I, which %s', l.rolname, r.rolname, w.why) as detail,
       case when exists (select from pg_catalog.pg_auth_members m where m.roleid = r.oid and m.member = l.oid)
            then format('revoke %I from %I', r.rolname, l.rolname)
            else format('Revoke the membership through which %I reaches %I.', l.rolname, r.rolname) end as fix,
       null::text as statement,
       format('%s:%s', l.rolname, r.rolname) as key
from reachable r
cross join login l
cross join lateral (
  select string_agg(v.what, ' and ' order by v.n) as why
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
order by r.rolname;
