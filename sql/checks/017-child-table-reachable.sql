-- TD017: a partition or child of a protected table can be read directly
with recursive protected as (
  select * from tenantry.protected_tables() where relation is not null
),
child as (
  select i.inhrelid as relation, p.name as parent from pg_catalog.pg_inherits i join protected p on p.relation = i.inhparent
  union
  select i.inhrelid, c.parent from pg_catalog.pg_inherits i join child c on c.relation = i.inhparent
)
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('%I may use this child of %s by its own name, where no floor holds', current_user, h.parent) as detail,
       format('revoke all on %I.%I from %s', n.nspname, c.relname, g.grantees) as fix,
       format('revoke all on %I.%I from %s', n.nspname, c.relname, g.grantees) as statement,
       format('%I.%I', n.nspname, c.relname) as key
from child h
join pg_catalog.pg_class c on c.oid = h.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', ') as grantees
  from (
    select (aclexplode(c.relacl)).grantee
    union select (aclexplode(t.attacl)).grantee from pg_catalog.pg_attribute t where t.attrelid = c.oid
  ) a
  where a.grantee <> c.relowner and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage'))
) g
where g.grantees is not null
  -- its own row-level security counts when it brings a floor of its own
  and not (c.relrowsecurity and exists (
    select from pg_catalog.pg_policy o where o.polrelid = c.oid and not o.polpermissive and 0 = any (o.polroles)))
  and not exists (select from protected p where p.relation = c.oid)
order by 1;
