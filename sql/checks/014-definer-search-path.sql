-- TD014: a SECURITY DEFINER function looks names up where others can put objects
with definer as (
  select f.oid, format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) as name, f.proowner,
         (select substring(s.setting from '^search_path=(.*)$') from unnest(f.proconfig) s (setting) where s.setting like 'search_path=%') as path
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace n on n.oid = f.pronamespace
  where f.prosecdef and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and f.proowner <> (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
    and (f.prorettype = 'trigger'::regtype
      or (has_schema_privilege(current_user, n.oid, 'usage') and has_function_privilege(current_user, f.oid, 'execute')))
),
judged as (
  select d.*,
         case
           when d.path is null then 'its search_path is the caller''s'
           when w.writable is not null then format('its search_path holds %s, where %I may create objects', w.writable, current_user)
           when d.path !~ '(^|, ?)"?pg_temp"?$' and d.path not in ('""', '')
             and has_database_privilege(current_user, current_database(), 'temporary') then 'pg_temp is not last in its search_path: a temporary table of the caller comes first'
         end as fault
  from definer d
  cross join lateral (
    select string_agg(e.entry, ', ') as writable
    from (select btrim(x, ' "') as entry from unnest(string_to_array(d.path, ',')) x) e
    where e.entry = '$user'
       or (to_regnamespace(quote_ident(e.entry)) is not null and e.entry <> 'pg_temp'
           and has_schema_privilege(current_user, to_regnamespace(quote_ident(e.entry))::oid, 'create'))
  ) w
)
select j.name as object,
       case when j.path is not null then 'warn' end as level,
       format('SECURITY DEFINER as %I, and %s', o.rolname, j.fault) as detail,
       format('alter function %s set search_path = pg_catalog, pg_temp -- and qualify every other name in it', j.name) as fix,
       null::text as statement,
       j.name as key
from judged j
join pg_catalog.pg_roles o on o.oid = j.proowner
where j.fault is not null
order by 1;
