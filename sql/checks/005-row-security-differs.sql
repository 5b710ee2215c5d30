-- TD005: row-level security of a table is not as its mode says
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object,
       case when p.mode = 'off' then 'warn' end as level,
       format('its mode is %s, but row-level security is %s', p.mode, case when c.relrowsecurity then 'on' else 'off' end) as detail,
       case when p.mode = 'off' then format('tenantry isolation off %s', p.name)
            else format('alter table %s enable row level security', p.name) end as fix,
       case when p.mode <> 'off' then format('alter table %s enable row level security', p.name) end as statement,
       p.name as key
from protected p
join pg_catalog.pg_class c on c.oid = p.relation
where p.managed and c.relrowsecurity is distinct from (p.mode in ('shadow', 'enforced'))
order by p.name;
