-- TD027: a column default reads the session itself
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       format('the default of %I is %s: it is evaluated past the policies'' function, so an unset or stale setting is written instead of refused', a.attname, pg_get_expr(d.adbin, d.adrelid)) as detail,
       case when a.attname = p.tenant_column and a.atttypid = 'uuid'::regtype
            then format('alter table %s alter column %I set default tenantry.current_tenant()', p.name, a.attname)
            else format('alter table %s alter column %I drop default', p.name, a.attname) end as fix,
       null::text as statement,
       format('%s:%s', p.name, a.attname) as key
from protected p
join pg_catalog.pg_attrdef d on d.adrelid = p.relation
join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated = ''
where pg_get_expr(d.adbin, d.adrelid) ~* '\mcurrent_setting\('
order by 1, a.attname;
