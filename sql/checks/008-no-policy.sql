-- TD008: row-level security without any policy hides every row
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       'row-level security is on and no policy is left: nobody but the owner sees a row' as detail,
       case when p.mode = 'shadow' then format('tenantry isolation shadow on %s', p.name)
            when p.mode is not null then format('tenantry isolation %s %s', case p.mode when 'off' then 'off' else 'enforce' end, p.name)
            else 'Create its policies again, or switch row-level security off if the table is shared by all tenants.' end as fix,
       null::text as statement,
       format('%I.%I', n.nspname, c.relname) as key
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join tenantry.protected_tables() p on p.relation = c.oid and p.managed
where c.relkind in ('r', 'p') and c.relrowsecurity
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_catalog.pg_policy o where o.polrelid = c.oid)
  -- what the login may not touch anyway needs no policy
  and (has_any_column_privilege(current_user, c.oid, 'select, insert, update') or has_table_privilege(current_user, c.oid, 'delete'))
order by 1;
