-- TD032: an index that policies make unusable
with protected as (
  select * from tenantry.protected_tables() where relation is not null
),
fault as (
  select p.name, p.relation, x.relname, format('%I(%s)', f.proname, oidvectortypes(f.proargtypes)) as function
  from protected p
  join pg_catalog.pg_index i on i.indrelid = p.relation and i.indisvalid
  join pg_catalog.pg_class x on x.oid = i.indexrelid
  join pg_catalog.pg_attribute t on t.attrelid = p.relation and t.attname = p.tenant_column and t.attnum <> i.indkey[0]
  cross join lateral (
    -- the operators of the first column, and the functions of an expression: all must be leakproof to come before a policy
    select ao.oprcode as oid
    from pg_catalog.pg_opclass oc
    join pg_catalog.pg_amop am on am.amopfamily = oc.opcfamily and am.amoplefttype = oc.opcintype and am.amoppurpose = 's'
    join pg_catalog.pg_operator ao on ao.oid = am.amopopr
    where oc.oid = i.indclass[0]
    union
    -- LIKE uses such an index by a rule of the planner, not as an operator of the index
    select 'pg_catalog.textlike(text, text)'::regprocedure::oid
    from pg_catalog.pg_opclass oc where oc.oid = i.indclass[0] and oc.opcname like '%\_pattern\_ops'
    union
    select m.id[1]::oid from regexp_matches(i.indexprs::text, ':funcid (\d+)', 'g') m (id) where i.indkey[0] = 0
  ) u
  join pg_catalog.pg_proc f on f.oid = u.oid and not f.proleakproof
  -- what a policy itself compares comes with the policy, not after it
  where not exists (
    select from pg_catalog.pg_policy o
    where o.polrelid = p.relation and i.indkey[0] <> 0
      and concat_ws(' ', o.polqual::text, o.polwithcheck::text) ~ (':varattno ' || i.indkey[0] || ' ')
  )
)
select f.name as object, null::text as level,
       format('index %I needs %s, which is not leakproof: under a policy PostgreSQL may not use it to find rows', f.relname, min(f.function)) as detail,
       'Begin the index with the tenant column (btree_gin or btree_gist for GIN and GiST), or partition by tenant; never mark the function leakproof to get it back.' as fix,
       null::text as statement,
       format('%s:%s', f.name, f.relname) as key
from fault f
group by f.name, f.relname
order by 1, f.relname;
