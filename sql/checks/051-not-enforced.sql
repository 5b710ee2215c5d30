-- TD051: a protected table is not enforced yet
select p.name as object, null::text as level,
       case p.mode when 'off' then 'its mode is off: its policies wait, and every tenant sees every row'
                   else 'its mode is shadow: what would be hidden or refused is counted, and nothing is' end as detail,
       case p.mode when 'off' then format('tenantry isolation shadow on %s', p.name)
                   else format('tenantry isolation shadow report, then tenantry isolation enforce %s', p.name) end as fix,
       null::text as statement,
       format('%s:%s', p.name, p.mode) as key
from tenantry.protected_tables() p
where p.relation is not null and p.mode <> 'enforced'
order by 1;
