-- TD008: row-level security without any policy hides every row
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       'row-level security is on and no policy is left: nobody but the owner sees a row' as detail,
       case when exists (select from tenantry.protected_tables() p where p.relation = c.oid and p.managed)
            then format('tenantry protect %I.%I', n.nspname, c.relname)
            else 'Create its policies again, or switch row-level security off if the table is shared by all tenants.' end as fix,
       null::text as statement,
       format('%I.%I', n.nspname, c.relname) as key
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relrowsecurity
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_catalog.pg_policy o where o.polrelid = c.oid)
  -- what the login may not touch anyway needs no policy
  and (has_any_column_privilege(current_user, c.oid, 'select, insert, update') or has_table_privilege(current_user, c.oid, 'delete'))
order by 1;
