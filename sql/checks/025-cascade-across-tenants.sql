-- TD025: deleting a row of one tenant reaches the rows of another
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       format('foreign key %I to %s has %s and does not carry the tenant: its action runs past the policies on rows of every tenant',
         f.conname, r.name, w.actions) as detail,
       format('Replace %I by a foreign key that begins with the tenant: alter table %s drop constraint %I after adding it.', f.conname, p.name, f.conname) as fix,
       null::text as statement,
       format('%s:%s', p.name, f.conname) as key
from pg_catalog.pg_constraint f
join protected p on p.relation = f.conrelid
join protected r on r.relation = f.confrelid
join pg_catalog.pg_attribute a on a.attrelid = p.relation and a.attname = p.tenant_column and not a.attisdropped
join pg_catalog.pg_attribute b on b.attrelid = r.relation and b.attname = r.tenant_column and not b.attisdropped
cross join lateral (
  select concat_ws(' and ',
    case f.confdeltype when 'c' then 'ON DELETE CASCADE' when 'n' then 'ON DELETE SET NULL' when 'd' then 'ON DELETE SET DEFAULT' end,
    case f.confupdtype when 'c' then 'ON UPDATE CASCADE' when 'n' then 'ON UPDATE SET NULL' when 'd' then 'ON UPDATE SET DEFAULT' end) as actions
) w
where f.contype = 'f' and f.conparentid = 0 and w.actions <> ''
  and not exists (
    select from unnest(f.conkey, f.confkey) u (own, other) where u.own = a.attnum and u.other = b.attnum
  )
order by 1, f.conname;
