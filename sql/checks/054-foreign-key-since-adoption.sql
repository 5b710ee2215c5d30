-- TD054: A foreign key to rows of tenants came after the adoption
select d.table_name as object, null::text as level,
       format('foreign key %I (%s) to %s is not in the plan: nothing compares the tenants of its two ends, so a row can point into another tenant',
         d.object_name, array_to_string(d.columns, ', '), d.parent) as detail,
       format('tenantry adopt plan --check says where to write it down; a key that carries the tenant on both ends needs no more: unique (tenant, id) on %s and foreign key (tenant, %s)',
         d.parent, array_to_string(d.columns, ', ')) as fix,
       null::text as statement,
       format('%s:%s', d.table_name, d.object_name) as key
from tenantry.adoption_drift() d
where d.kind = 'key-new'
order by 1, d.object_name;
