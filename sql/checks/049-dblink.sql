-- TD049: the login can open connections from the database
select g.name as object, null::text as level,
       format('%I may execute it: dblink opens a second session, whose login and context the first one chooses', current_user) as detail,
       format('revoke execute on function %s from public', g.name) as fix, null::text as statement,
       g.name as key
from pg_catalog.pg_extension e
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::regclass and d.refobjid = e.oid
  and d.classid = 'pg_catalog.pg_proc'::regclass and d.deptype = 'e'
join pg_catalog.pg_proc f on f.oid = d.objid
join pg_catalog.pg_namespace n on n.oid = f.pronamespace
cross join lateral (select format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) as name) g
where e.extname = 'dblink' and f.proname in ('dblink_connect', 'dblink_connect_u', 'dblink', 'dblink_exec')
  and has_schema_privilege(current_user, f.pronamespace, 'usage') and has_function_privilege(current_user, f.oid, 'execute')
order by 1;
