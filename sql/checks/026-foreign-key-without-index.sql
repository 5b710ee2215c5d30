-- TD026: a foreign key has no index
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('foreign key %I (%s) has no index: each delete in %s reads the whole table, and joins have none to use', f.conname, k.columns, format('%I.%I', rn.nspname, r.relname)) as detail,
       format('create index concurrently on %I.%I (%s)', n.nspname, c.relname, k.columns) as fix,
       null::text as statement,
       format('%I.%I:%s', n.nspname, c.relname, f.conname) as key
from pg_catalog.pg_constraint f
join pg_catalog.pg_class c on c.oid = f.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class r on r.oid = f.confrelid
join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
cross join lateral (
  select string_agg(format('%I', a.attname), ', ' order by u.n) as columns
  from unnest(f.conkey) with ordinality u (attnum, n)
  join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = u.attnum
) k
where f.contype = 'f' and f.conparentid = 0
  and (n.nspname in (select s.nspname from pg_catalog.pg_namespace s join pg_catalog.pg_class t on t.relnamespace = s.oid join protected p on p.relation = t.oid)
    or c.relnamespace = (select m.relnamespace from pg_catalog.pg_class m where m.oid = 'tenantry.migrations'::regclass))
  -- the columns of the key, in any order, lead a usable index
  and not exists (
    select from pg_catalog.pg_index i
    where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
      and i.indnkeyatts >= cardinality(f.conkey)
      and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey
  )
order by 1, f.conname;
