-- TD010: a permissive policy lets everybody in and no floor holds
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('%I.%I', n.nspname, c.relname) as object,
       case when p.relation is null then 'warn' end as level,
       format('policy %I is permissive, `true` and applies to the login; no restrictive policy for PUBLIC names the tenant', o.polname) as detail,
       case when p.relation is null then format('drop policy %I on %I.%I -- or give the table a restrictive tenant floor', o.polname, n.nspname, c.relname)
            when p.mode = 'shadow' then format('tenantry isolation shadow on %s', p.name)
            else format('tenantry isolation %s %s', case p.mode when 'off' then 'off' else 'enforce' end, p.name) end as fix,
       null::text as statement,
       format('%I.%I:%s', n.nspname, c.relname, o.polname) as key
from pg_catalog.pg_policy o
join pg_catalog.pg_class c on c.oid = o.polrelid and c.relrowsecurity
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join protected p on p.relation = c.oid
where o.polpermissive
  and 'true' in (pg_get_expr(o.polqual, o.polrelid), case when o.polcmd = 'a' then pg_get_expr(o.polwithcheck, o.polrelid) end)
  and exists (select from unnest(o.polroles) r (role) where r.role = 0 or pg_has_role(current_user, r.role, 'usage'))
  -- a floor for each command that it opens, in one policy or in one for each
  and exists (
    select from unnest(case when o.polcmd = '*' then array['r', 'a', 'w', 'd'] else array[o.polcmd::text] end) k (command)
    where not exists (
      select from pg_catalog.pg_policy f
      where f.polrelid = o.polrelid and not f.polpermissive and f.polcmd::text in ('*', k.command) and 0 = any (f.polroles)
        and coalesce(pg_get_expr(f.polqual, f.polrelid), pg_get_expr(f.polwithcheck, f.polrelid)) <> 'true'
    )
  )
order by 1, o.polname;
