-- TD033: rows without a tenant are possible
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object,
       case when p.mode <> 'enforced' then 'info' end as level,
       format('%I may be null: such rows are seen by no tenant, and by everybody should the table be opened', p.tenant_column) as detail,
       format('alter table %s alter column %I set not null -- after a check (%I is not null) not valid, validated', p.name, p.tenant_column, p.tenant_column) as fix,
       null::text as statement,
       p.name as key
from protected p
join pg_catalog.pg_attribute a on a.attrelid = p.relation and a.attname = p.tenant_column and not a.attisdropped
where not a.attnotnull
order by 1;
