-- TD020: a publication sends the rows of every tenant
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('publication %I', t.pubname) as object, null::text as level,
       format('it publishes %s: subscribers receive the rows of every tenant, policies do not apply', string_agg(p.name, ', ' order by p.name)) as detail,
       'Keep it only if each subscriber may have every tenant''s rows; otherwise drop these tables from it, or add a row filter per tenant.' as fix,
       null::text as statement,
       t.pubname::text as key
from pg_catalog.pg_publication_tables t
join protected p on p.name = format('%I.%I', t.schemaname, t.tablename)
group by t.pubname
order by 1;
