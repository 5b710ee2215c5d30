-- TD020: a publication sends the rows of every tenant
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('publication %I', t.pubname) as object, null::text as level,
       format('it publishes %s: subscribers receive the rows of every tenant, policies do not apply', string_agg(distinct p.name, ', ')) as detail,
       'Keep it only if each subscriber may have every tenant''s rows; otherwise drop these tables from it, or add a row filter per tenant.' as fix,
       null::text as statement,
       t.pubname::text as key
from pg_catalog.pg_publication_tables t
join pg_catalog.pg_namespace n on n.nspname = t.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
-- a partition is published under its own name
join protected p on p.relation = coalesce(pg_partition_root(c.oid)::oid, c.oid)
group by t.pubname
order by 1;
