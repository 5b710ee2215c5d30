-- TD028: an IMMUTABLE function reads the session
select g.name as object, null::text as level,
       'it is declared IMMUTABLE but reads the session: PostgreSQL may compute it once and use one tenant''s value for all' as detail,
       format('alter function %s stable', g.name) as fix, null::text as statement,
       g.name as key
from pg_catalog.pg_proc f
join pg_catalog.pg_namespace n on n.oid = f.pronamespace
join pg_catalog.pg_language l on l.oid = f.prolang and l.lanname not in ('c', 'internal')
cross join lateral (select format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) as name) g
where f.provolatile = 'i' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)
    ~* '\m(current_setting|current_user|session_user|current_role|current_tenant|context_tenant|current_tenant_key|context_tenant_key|current_user_id|caller_principals)\M'
order by 1;
