-- TD025: deleting a row reaches the rows of another tenant, or takes their tenant away
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       case when s.same then format('foreign key %I to %s has %s over the tenant column as well: it would take the tenant from the rows', f.conname, r.name, w.action)
            else format('foreign key %I (%s) to %s has %s and does not carry the tenant: a row can point into another tenant, and its action runs past the policies',
              f.conname, k.columns, r.name, w.action) end as detail,
       case when not s.same then format('alter table %s add unique (%I, %s); ', r.name, r.tenant_column, k.referenced) else '' end
         || format('alter table %s drop constraint %I, add foreign key (%I, %s) references %s (%I, %s) %s', p.name, f.conname,
           p.tenant_column, k.columns, r.name, r.tenant_column, k.referenced,
           lower(w.action) || case when f.confdeltype in ('n', 'd') then format(' (%s)', k.columns) else '' end) as fix,
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
  where u.own <> a.attnum
) k
cross join lateral (
  select exists (select from unnest(f.conkey, f.confkey) u (own, other) where u.own = a.attnum and u.other = b.attnum) as same
) s
cross join lateral (
  select case f.confdeltype when 'c' then 'ON DELETE CASCADE' when 'n' then 'ON DELETE SET NULL' when 'd' then 'ON DELETE SET DEFAULT' end as action
) w
where f.contype = 'f' and f.conparentid = 0 and w.action is not null
  and (not s.same or (f.confdeltype in ('n', 'd') and (f.confdelsetcols is null or a.attnum = any (f.confdelsetcols))))
  -- from enforcement on adopted tables compare both ends themselves; a key that came later is TD054
  and (s.same or not exists (select from pg_catalog.pg_trigger t where t.tgrelid = p.relation and t.tgname = 'zz_tenantry_refs_insert' and t.tgenabled in ('O', 'A')))
order by 1, f.conname;
