-- TD016: an INSTEAD OF trigger writes through a view with rights above the policies
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('trigger %I runs %s, SECURITY DEFINER as %I: security_invoker on the view does not bind it', t.tgname, g.name, o.rolname) as detail,
       format('alter function %s security invoker', g.name) as fix, null::text as statement,
       format('%I.%I:%s', n.nspname, c.relname, t.tgname) as key
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid and c.relkind = 'v'
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_proc f on f.oid = t.tgfoid and f.prosecdef
join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
join pg_catalog.pg_roles o on o.oid = f.proowner
cross join lateral (select format('%I.%I(%s)', fn.nspname, f.proname, oidvectortypes(f.proargtypes)) as name) g
where not t.tgisinternal
  and o.rolname <> current_user
  and (has_any_column_privilege(current_user, c.oid, 'insert, update') or has_table_privilege(current_user, c.oid, 'delete'))
  and (o.rolsuper or o.rolbypassrls or exists (
    select from protected p join pg_catalog.pg_class pc on pc.oid = p.relation
    where pg_has_role(o.oid, p.owner, 'usage') and not pc.relforcerowsecurity))
order by 1, t.tgname;
