-- TD023: a UNIQUE over all tenants tells one of them what another has
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object,
       case when i.indisprimary then 'info' end as level,
       format('%s %I (%s) spans all tenants: a duplicate error tells that another tenant has the value, and ON CONFLICT meets its row',
         case when i.indisprimary then 'primary key' when i.indisexclusion then 'exclusion constraint' else 'unique index' end, x.relname, k.columns) as detail,
       case when i.indisexclusion then format('Add the tenant to the constraint: exclude using gist (%I with =, …), with the extension btree_gist.', p.tenant_column)
            when o.conname is not null then format('alter table %s add unique (%I, %s); alter table %s drop constraint %I',
              p.name, p.tenant_column, k.columns, p.name, o.conname)
            else format('create unique index concurrently on %s (%I, %s); drop index concurrently %I.%I', p.name, p.tenant_column, k.columns,
              n.nspname, x.relname) end as fix,
       null::text as statement,
       format('%s:%s', p.name, x.relname) as key
from protected p
join pg_catalog.pg_index i on i.indrelid = p.relation and (i.indisunique or i.indisexclusion)
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = x.relnamespace
left join pg_catalog.pg_constraint o on o.conindid = i.indexrelid and o.conrelid = i.indrelid and o.contype in ('p', 'u', 'x')
join pg_catalog.pg_attribute t on t.attrelid = p.relation and t.attname = p.tenant_column and not t.attisdropped
cross join lateral (
  select string_agg(pg_get_indexdef(i.indexrelid, s.n, true), ', ' order by s.n) as columns
  from generate_series(1, i.indnkeyatts) s (n)
) k
where t.attnum <> all ((i.indkey::int2[])[0:i.indnkeyatts - 1])
  -- a column that refers to a row of one tenant brings the tenant with it
  and not exists (
    select from pg_catalog.pg_constraint f join protected r on r.relation = f.confrelid
    where f.conrelid = p.relation and f.contype = 'f' and f.conkey && (i.indkey::int2[])[0:i.indnkeyatts - 1]
  )
order by 1, x.relname;
