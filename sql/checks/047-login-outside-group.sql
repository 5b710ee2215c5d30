-- TD047: another login uses protected tables without being of the application
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('login %I', r.rolname) as object, null::text as level,
       format('it has grants on %s but is not a member of tenantry_app: once enforced, a job of it without a context silently finds no rows',
         case when count(distinct p.name) = 1 then min(p.name) else format('%s and %s more protected tables', min(p.name), count(distinct p.name) - 1) end) as detail,
       format('Let it set a context and grant tenantry_app to %I, or move its work to the operator connection.', r.rolname) as fix, null::text as statement,
       r.rolname::text as key
from protected p
join pg_catalog.pg_class c on c.oid = p.relation
cross join lateral aclexplode(c.relacl) a
join pg_catalog.pg_roles r on r.rolcanlogin and not r.rolsuper and a.grantee <> 0 and pg_has_role(r.oid, a.grantee, 'usage')
where a.grantee <> c.relowner and r.oid <> c.relowner
  and not p.kernel
  -- an old application's, declared: its statements have a tenant without a context
  and not exists (select from tenantry.legacy_login_names() l (login) where l.login = r.rolname)
  and not pg_has_role(r.oid, 'tenantry_app', 'member') and not pg_has_role(r.oid, p.owner, 'member')
group by r.rolname
order by 1;
