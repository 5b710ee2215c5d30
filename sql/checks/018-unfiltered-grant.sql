-- TD018: a privilege that policies do not filter: TRUNCATE, REFERENCES, TRIGGER
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object,
       case when bool_or(a.privilege_type = 'TRUNCATE') then null else 'warn' end as level,
       format('%s has %s on it: row-level security does not apply to %s', g.grantee,
         string_agg(distinct a.privilege_type, ', '), case when count(distinct a.privilege_type) = 1 then 'it' else 'these' end) as detail,
       format('revoke %s on %s from %s', lower(string_agg(distinct a.privilege_type, ', ')), p.name, g.grantee) as fix,
       format('revoke %s on %s from %s', lower(string_agg(distinct a.privilege_type, ', ')), p.name, g.grantee) as statement,
       format('%s:%s', p.name, g.grantee) as key
from protected p
join pg_catalog.pg_class c on c.oid = p.relation
cross join lateral (
  select (aclexplode(c.relacl)).*
  union
  -- REFERENCES exists for single columns, too; revoking it from the table takes these along
  select (aclexplode(t.attacl)).* from pg_catalog.pg_attribute t where t.attrelid = c.oid and t.attacl is not null
) a
cross join lateral (select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee) g
where a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')
  and a.grantee <> c.relowner
  and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage'))
group by p.name, g.grantee
order by 1, g.grantee;
