-- TD058: Rows of an adopted table wait without a tenant
select q.table_name as object, null::text as level,
       format('%s rows have no tenant, as the plan decided: no tenant sees them', q.waiting) as detail,
       format('look at them with: tenantry adopt verify; then: tenantry adopt release %s KEY --organization SLUG', q.table_name) as fix,
       null::text as statement,
       q.table_name as key
from tenantry.adoption_quarantine() q
where q.waiting > 0
order by 1;
