-- TD030: the tenant column leads no index
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       format('no index begins with %I: every statement of every tenant reads the whole table', p.tenant_column) as detail,
       format('create index concurrently on %s (%I)', p.name, p.tenant_column) as fix, null::text as statement,
       p.name as key
from protected p
join pg_catalog.pg_attribute t on t.attrelid = p.relation and t.attname = p.tenant_column and not t.attisdropped
where not exists (
  select from pg_catalog.pg_index i
  where i.indrelid = p.relation and i.indisvalid and i.indpred is null and i.indkey[0] = t.attnum
)
order by 1;
