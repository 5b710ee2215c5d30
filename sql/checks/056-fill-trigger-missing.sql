-- TD056: A trigger that keeps the tenants of an adopted table right is off
select d.table_name as object, null::text as level,
       format('trigger %I is missing or disabled: %s', d.object_name,
         case when d.object_name like '%refs%' then 'a row may point at a row of another tenant'
              when d.object_name like '%guard%' then 'new rows may be left without a tenant, and nobody sees them again'
              else 'new rows get no tenant from their parent, and a row that moves keeps the old one' end) as detail,
       case when exists (select from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
                          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                          where t.tgname = d.object_name and format('%I.%I', n.nspname, c.relname) = d.table_name)
            then format('alter table %s enable trigger %I; then: tenantry adopt verify', d.table_name, d.object_name)
            else format('take the statement that makes it from tenantry adopt plan --sql, run it, then: tenantry adopt verify') end as fix,
       null::text as statement,
       format('%s:%s', d.table_name, d.object_name) as key
from tenantry.adoption_drift() d
where d.kind = 'trigger-off'
order by 1, d.object_name;
