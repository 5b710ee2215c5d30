-- TD007: the tenant floor of a protected table is missing or altered
with protected as (
  select * from tenantry.protected_tables() where relation is not null
),
part as (
  -- the policies that the table must have in its mode, and the kernel function each of them compares with
  select p.*, e.policy, e.command, case when p.key_type is null then e.function else e.function || '_key' end as function
  from protected p
  cross join lateral (
    select 'tenantry_floor' as policy, '*' as command, 'current_tenant' as function where p.mode <> 'shadow'
    union all
    select 'tenantry_shadow_' || v.name, v.letter, 'context_tenant'
    from (values ('select', 'r'), ('insert', 'a'), ('update', 'w'), ('delete', 'd')) v (name, letter)
    where p.mode = 'shadow'
  ) e
  where p.managed and not p.kernel
),
judged as (
  select t.*, o.oid as found, x.tree,
         case
           when o.oid is null then 'is missing'
           when o.polpermissive then 'is permissive: other policies widen it'
           when o.polcmd::text <> t.command then 'is not for the command it must hold'
           when o.polroles <> array[0::oid] then 'is not for PUBLIC: unlisted roles and views of their owners slip past it'
           when o.polcmd = '*' and o.polwithcheck is not null and pg_get_expr(o.polwithcheck, o.polrelid) <> pg_get_expr(o.polqual, o.polrelid)
             then 'checks written rows by another rule than read ones'
           when x.tree !~ (':funcid ' || f.oid || ' ') then format('does not compare with %s()', t.function)
           when x.tree !~ (':varattno ' || a.attnum || ' ') then format('does not look at %I', t.tenant_column)
           -- one comparison, nothing around it that could be true without it
           when t.mode <> 'shadow' and (x.tree !~ '^{OPEXPR ' or x.tree ~ '{(BOOLEXPR|SUBLINK|CASEEXPR|COALESCEEXPR|SCALARARRAYOPEXPR)'
             or (select q.oprname from pg_catalog.pg_operator q where q.oid = substring(x.tree from '^{OPEXPR :opno (\d+)')::oid) <> '=')
             then format('is more than a comparison: %s', pg_get_expr(coalesce(o.polqual, o.polwithcheck), o.polrelid))
         end as fault
  from part t
  left join pg_catalog.pg_policy o on o.polrelid = t.relation and o.polname = t.policy
  left join pg_catalog.pg_attribute a on a.attrelid = t.relation and a.attname = t.tenant_column and not a.attisdropped
  left join pg_catalog.pg_proc f on f.proname = t.function and f.pronargs = 0
    and f.pronamespace = (select k.relnamespace from pg_catalog.pg_class k where k.oid = 'tenantry.migrations'::regclass)
  cross join lateral (select coalesce(o.polqual, o.polwithcheck)::text as tree) x
)
select j.name as object, case when j.mode <> 'enforced' then 'warn' end as level,
       format('policy %I %s', j.policy, j.fault) as detail,
       format(case j.mode when 'enforced' then 'tenantry isolation enforce %s' when 'shadow' then 'tenantry isolation shadow on %s' else 'tenantry isolation off %s' end, j.name) as fix, null::text as statement,
       format('%s:%s', j.name, j.policy) as key
from judged j
where j.fault is not null
order by 1, j.policy;
