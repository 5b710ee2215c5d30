-- TD055: A foreign key that a tenant comes by is gone
select d.table_name as object, null::text as level,
       format('%s got its tenant by (%s) → %s, and that foreign key is gone: a row may now name a parent that does not exist, and then it has no tenant',
         d.table_name, array_to_string(d.columns, ', '), d.parent) as detail,
       format('add the foreign key (%s) to %s again as not valid and validate it, or say in the plan file where the tenant comes from: tenantry adopt plan --check',
         array_to_string(d.columns, ', '), d.parent) as fix,
       null::text as statement,
       format('%s:%s', d.table_name, d.object_name) as key
from tenantry.adoption_drift() d
where d.kind = 'key-gone'
order by 1, d.object_name;
