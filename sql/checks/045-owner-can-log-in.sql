-- TD045: the owner of protected tables can log in
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('role %I', o.rolname) as object, null::text as level,
       format('it owns %s and can log in: a session of it is above the policies', case when count(*) = 1 then min(p.name) else format('%s and %s more protected tables', min(p.name), count(*) - 1) end) as detail,
       format('alter role %I nologin -- or move the tables to a role that cannot', o.rolname) as fix, null::text as statement,
       o.rolname::text as key
from protected p
join pg_catalog.pg_roles o on o.oid = p.owner
where o.rolcanlogin and o.rolname <> current_user
group by o.rolname
order by 1;
