-- TD039: a table that looks like a tenant's is not in the manifest
with recursive protected as (
  select * from tenantry.protected_tables() where relation is not null
),
child as (
  select i.inhrelid as relation from pg_catalog.pg_inherits i join protected p on p.relation = i.inhparent
  union
  select i.inhrelid from pg_catalog.pg_inherits i join child c on c.relation = i.inhparent
),
kernel as (
  select k.relnamespace from pg_catalog.pg_class k where k.oid = 'tenantry.migrations'::regclass
),
candidate as (
  select c.oid, c.relrowsecurity, n.nspname, c.relname,
         (select a.attname from pg_catalog.pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and (a.attname = 'tenant_id' or a.attname in (select p.tenant_column from protected p where not p.kernel))
          order by a.attname <> 'tenant_id', a.attname limit 1) as tenant_column,
         (select min(p.name) from pg_catalog.pg_constraint f join protected p on p.relation = f.confrelid
          where f.conrelid = c.oid and f.contype = 'f') as refers_to
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition
    and c.relnamespace in (select t.relnamespace from protected p join pg_catalog.pg_class t on t.oid = p.relation where not p.kernel)
    and c.relnamespace not in (select k.relnamespace from kernel k)
    and c.oid not in (select p.relation from protected p) and c.oid not in (select h.relation from child h)
)
select format('%I.%I', c.nspname, c.relname) as object,
       case when u.underway or c.relrowsecurity or c.tenant_column is null or not has_any_column_privilege(current_user, c.oid, 'select')
            then 'warn' end as level,
       concat(case when c.tenant_column is not null then format('it has the column %I', c.tenant_column) else format('it refers to %s', c.refers_to) end,
         case when u.underway then ' and is in no mode yet: the adoption that is open brings it there' else ' but is in no mode' end,
         case when not c.relrowsecurity and has_any_column_privilege(current_user, c.oid, 'select')
              then format('%s %I reads the rows of every tenant', case when u.underway then '; until then' else ':' end, current_user) end) as detail,
       case when u.underway then 'tenantry adopt run'
            else format('tenantry protect %I.%I, or suppress this finding with the reason why all tenants share it', c.nspname, c.relname) end as fix,
       null::text as statement,
       format('%I.%I', c.nspname, c.relname) as key
from candidate c
cross join lateral (select format('%I.%I', c.nspname, c.relname) in (select a from tenantry.adoption_underway() a) as underway) u
where (c.tenant_column is not null or c.refers_to is not null)
  -- a plan that a person committed says that all tenants share it
  and format('%I.%I', c.nspname, c.relname) not in (select s from tenantry.adoption_shared() s)
order by 1;
