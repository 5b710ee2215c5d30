-- TD013: the login can run a function with the rights of a role above the policies
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select g.name as object, null::text as level,
       format('SECURITY DEFINER, executable by %I, and its owner %I %s', current_user, o.rolname,
         case when o.rolsuper then 'is a superuser' when o.rolbypassrls then 'has BYPASSRLS' else 'owns protected tables' end) as detail,
       format('revoke execute on routine %s from public -- or make it security invoker, or give it to an ordinary owner', g.name) as fix,
       null::text as statement,
       g.name as key
from pg_catalog.pg_proc f
join pg_catalog.pg_namespace n on n.oid = f.pronamespace
join pg_catalog.pg_roles o on o.oid = f.proowner
cross join lateral (select format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) as name) g
join pg_catalog.pg_class k on k.oid = 'tenantry.migrations'::regclass
where f.prosecdef
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and f.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
  and not (f.pronamespace = k.relnamespace and f.proowner = k.relowner)
  and has_schema_privilege(current_user, n.oid, 'usage') and has_function_privilege(current_user, f.oid, 'execute')
  and (o.rolsuper or o.rolbypassrls or exists (
    select from protected p join pg_catalog.pg_class c on c.oid = p.relation
    where pg_has_role(o.oid, p.owner, 'usage') and not c.relforcerowsecurity))
  and o.rolname <> current_user
order by 1;
