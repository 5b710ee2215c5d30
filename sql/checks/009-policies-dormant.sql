-- TD009: policies are written but row-level security is off
select format('%I.%I', n.nspname, c.relname) as object,
       case when k.oid is null then 'warn' end as level,
       format('it has %s, but row-level security is off: every row is open', case count(*) when 1 then 'a policy' else count(*) || ' policies' end) as detail,
       format('alter table %I.%I enable row level security', n.nspname, c.relname) as fix,
       case when k.oid is not null then format('alter table %I.%I enable row level security', n.nspname, c.relname) end as statement,
       format('%I.%I', n.nspname, c.relname) as key
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_policy p on p.polrelid = c.oid
left join pg_catalog.pg_class k on k.oid = 'tenantry.migrations'::regclass and k.relnamespace = c.relnamespace
where not c.relrowsecurity
  and not exists (select from tenantry.protected_tables() p where p.relation = c.oid and p.managed)
group by n.nspname, c.relname, k.oid
order by 1;
