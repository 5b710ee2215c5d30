-- TD041: the login may create objects where names are looked up
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('schema %I', n.nspname) as object,
       case when n.oid <> k.relnamespace then 'warn' end as level,
       format('%I may create objects in it: a function or table of its making can be called in place of another', current_user) as detail,
       format('revoke create on schema %I from %s', n.nspname,
         (select coalesce(string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', '), quote_ident(current_user))
          from aclexplode(n.nspacl) a
          where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage')))) as fix,
       null::text as statement,
       n.nspname::text as key
from pg_catalog.pg_namespace n
join pg_catalog.pg_class k on k.oid = 'tenantry.migrations'::regclass
where has_schema_privilege(current_user, n.oid, 'create')
  and n.nspname !~ '^pg_(toast|temp)'
  and (n.oid = k.relnamespace or n.nspname = any (current_schemas(true))
    or n.oid in (select c.relnamespace from protected p join pg_catalog.pg_class c on c.oid = p.relation))
order by 1;
