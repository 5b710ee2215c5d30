-- TD049: the login can open connections from the database
select f.oid::regprocedure::text as object, null::text as level,
       format('%I may execute it: dblink opens a second session, whose login and context the first one chooses', current_user) as detail,
       format('revoke execute on function %s from public', f.oid::regprocedure) as fix, null::text as statement,
       f.oid::regprocedure::text as key
from pg_catalog.pg_extension e
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::regclass and d.refobjid = e.oid
  and d.classid = 'pg_catalog.pg_proc'::regclass and d.deptype = 'e'
join pg_catalog.pg_proc f on f.oid = d.objid
where e.extname = 'dblink' and f.proname in ('dblink_connect', 'dblink_connect_u', 'dblink', 'dblink_exec')
  and has_schema_privilege(current_user, f.pronamespace, 'usage') and has_function_privilege(current_user, f.oid, 'execute')
order by 1
