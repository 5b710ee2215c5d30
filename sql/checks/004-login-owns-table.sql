-- TD004: the login owns a protected table
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object,
       case when c.relforcerowsecurity then 'warn' end as level,
       case when c.relforcerowsecurity
            then format('%I owns it: policies are forced, but an owner can switch them off', current_user)
            else format('%I owns it and policies are not forced: they do not apply to an owner', current_user) end as detail,
       format('alter table %s owner to %I', p.name, k.rolname) as fix, null::text as statement,
       p.name as key
from protected p
join pg_catalog.pg_class c on c.oid = p.relation
join pg_catalog.pg_class m on m.oid = 'tenantry.migrations'::regclass
join pg_catalog.pg_roles k on k.oid = m.relowner
join pg_catalog.pg_roles l on l.rolname = current_user and l.oid = p.owner
order by p.name;
