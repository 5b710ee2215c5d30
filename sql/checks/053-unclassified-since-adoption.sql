-- TD053: A table came after the adoption and nobody classified it
with protected as (
  select * from tenantry.protected_tables() where relation is not null and not kernel
),
drift as (
  -- by name and not by to_regclass(), which asks for the use of the schema
  select d.object_name, c.oid as relation
  from tenantry.adoption_drift() d
  join (pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace)
    on c.relkind in ('r', 'p') and format('%I.%I', n.nspname, c.relname) = d.object_name
  where d.kind = 'table-new'
)
select d.object_name as object, null::text as level,
       concat('nobody has said whether its rows belong to tenants',
         case when has_any_column_privilege(current_user, d.relation, 'select') then format('; until then %I reads all of them in every tenant', current_user) end) as detail,
       format('tenantry adopt plan --check says where to write it down; rows of tenants: tenantry protect %s', d.object_name) as fix,
       null::text as statement,
       d.object_name as key
from drift d
join pg_catalog.pg_class c on c.oid = d.relation
-- what looks like a tenant's table is TD039
where not (
  c.relnamespace in (select t.relnamespace from protected p join pg_catalog.pg_class t on t.oid = p.relation)
  and (exists (select from pg_catalog.pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                 and (a.attname = 'tenant_id' or a.attname in (select p.tenant_column from protected p)))
       or exists (select from pg_catalog.pg_constraint f join protected p on p.relation = f.confrelid
                  where f.conrelid = c.oid and f.contype = 'f')))
order by 1;
