-- TD022: a sequence tells every tenant how much all of them write
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('%I.%I', n.nspname, s.relname) as object, null::text as level,
       format('%s may read it: last_value shows the volume of all tenants in %s', g.grantees, p.name) as detail,
       format('revoke select on sequence %I.%I from %s', n.nspname, s.relname, g.grantees) as fix,
       format('revoke select on sequence %I.%I from %s', n.nspname, s.relname, g.grantees) as statement,
       format('%I.%I', n.nspname, s.relname) as key
from protected p
join lateral (
  -- owned by a column, or only used by the default of one
  select d.objid as sequence from pg_catalog.pg_depend d
  where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = p.relation
    and d.classid = 'pg_catalog.pg_class'::regclass and d.deptype in ('a', 'i')
  union
  select d.refobjid from pg_catalog.pg_attrdef f
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = f.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass
  where f.adrelid = p.relation
) u on true
join pg_catalog.pg_class s on s.oid = u.sequence and s.relkind = 'S'
join pg_catalog.pg_namespace n on n.oid = s.relnamespace
cross join lateral (
  select string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', ') as grantees
  from aclexplode(s.relacl) a
  where a.privilege_type = 'SELECT' and a.grantee <> s.relowner and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage'))
) g
where g.grantees is not null
order by 1;
