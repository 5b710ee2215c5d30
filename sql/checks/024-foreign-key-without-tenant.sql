-- TD024: a foreign key can point at a row of another tenant
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       format('foreign key %I (%s) to %s does not carry the tenant: a row can point into another tenant, and the error tells which ids exist there',
         f.conname, k.columns, r.name) as detail,
       format('alter table %s add unique (%I, %s); alter table %s add foreign key (%I, %s) references %s (%I, %s)',
         r.name, r.tenant_column, k.referenced, p.name, p.tenant_column, k.columns, r.name, r.tenant_column, k.referenced) as fix,
       null::text as statement,
       format('%s:%s', p.name, f.conname) as key
from pg_catalog.pg_constraint f
join protected p on p.relation = f.conrelid
join protected r on r.relation = f.confrelid
join pg_catalog.pg_attribute a on a.attrelid = p.relation and a.attname = p.tenant_column and not a.attisdropped
join pg_catalog.pg_attribute b on b.attrelid = r.relation and b.attname = r.tenant_column and not b.attisdropped
cross join lateral (
  select string_agg(format('%I', c.attname), ', ' order by u.n) as columns,
         string_agg(format('%I', d.attname), ', ' order by u.n) as referenced
  from unnest(f.conkey, f.confkey) with ordinality u (own, other, n)
  join pg_catalog.pg_attribute c on c.attrelid = f.conrelid and c.attnum = u.own
  join pg_catalog.pg_attribute d on d.attrelid = f.confrelid and d.attnum = u.other
) k
-- those that delete or change rows are TD025
where f.contype = 'f' and f.conparentid = 0 and f.confdeltype not in ('c', 'n', 'd')
  and not exists (
    select from unnest(f.conkey, f.confkey) u (own, other) where u.own = a.attnum and u.other = b.attnum
  )
  -- the tenant is also carried by another foreign key over the same columns
  and not exists (
    select from pg_catalog.pg_constraint g
    where g.conrelid = f.conrelid and g.confrelid = f.confrelid and g.contype = 'f' and g.oid <> f.oid
      and g.conkey @> f.conkey and a.attnum = any (g.conkey) and b.attnum = any (g.confkey)
  )
  -- from enforcement on adopted tables compare both ends themselves; a key that came later is TD054
  and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = p.relation and t.tgname = 'zz_tenantry_refs_insert' and t.tgenabled in ('O', 'A'))
order by 1, f.conname;
