-- TD029: a policy calls a function for every row
with policy as (
  select o.oid, o.polname, format('%I.%I', n.nspname, c.relname) as name, concat_ws(' ', o.polqual::text, o.polwithcheck::text) as tree,
         concat_ws(' ', pg_get_expr(o.polqual, o.polrelid), pg_get_expr(o.polwithcheck, o.polrelid)) as text
  from pg_catalog.pg_policy o
  join pg_catalog.pg_class c on c.oid = o.polrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
),
called as (
  select distinct o.oid, format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) as function
  from policy o
  cross join lateral regexp_matches(o.tree, ':(?:func|opfunc)id (\d+)', 'g') m (id)
  join pg_catalog.pg_proc f on f.oid = m.id[1]::oid and f.provolatile = 'v'
  join pg_catalog.pg_namespace n on n.oid = f.pronamespace
  -- shadow policies count, and so must be volatile
  where not (f.proname in ('shadow_miss', 'shadow_without_context')
    and f.pronamespace = (select k.relnamespace from pg_catalog.pg_class k where k.oid = 'tenantry.migrations'::regclass))
)
select o.name as object, null::text as level,
       case when c.function is not null
            then format('policy %I calls %s, which is VOLATILE: it runs for every row, keeps the tenant''s index from being used and forbids parallel plans', o.polname, c.function)
            else format('policy %I calls current_setting() without a sub-select: it is inlined and runs for every row', o.polname) end as detail,
       case when c.function is not null then format('alter function %s stable -- if that is true of it', c.function)
            else 'Compare with tenantry.current_tenant(), or write (select current_setting(…)).' end as fix,
       null::text as statement,
       format('%s:%s', o.name, o.polname) as key
from policy o
left join (select oid, min(function) as function from called group by oid) c on c.oid = o.oid
where c.function is not null
   or regexp_replace(o.text, 'select [^;]*?current_setting\(', '', 'gi') ~* '\mcurrent_setting\('
order by 1, o.polname;
