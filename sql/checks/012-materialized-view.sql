-- TD012: a materialized view keeps the rows of every tenant
with recursive protected as (
  select * from tenantry.protected_tables() where relation is not null
),
edge as (
  select distinct r.ev_class as view, d.refobjid as relation
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class
  where r.rulename = '_RETURN'
),
reach as (
  select c.oid as top, c.oid as view from pg_catalog.pg_class c where c.relkind = 'm'
  union
  select r.top, e.relation from reach r join edge e on e.view = r.view
)
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('it holds rows of %s as they were for its owner; policies do not reach into it', string_agg(distinct p.name, ', ')) as detail,
       format('revoke all on %I.%I from %s', n.nspname, c.relname,
         (select coalesce(string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', '), quote_ident(current_user))
          from aclexplode(c.relacl) a
          where a.grantee <> c.relowner and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage')))) as fix,
       null::text as statement,
       format('%I.%I', n.nspname, c.relname) as key
from reach r
join protected p on p.relation = r.view
join pg_catalog.pg_class c on c.oid = r.top
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where has_schema_privilege(current_user, n.oid, 'usage') and has_any_column_privilege(current_user, c.oid, 'select')
group by n.nspname, c.relname, c.oid, c.relacl, c.relowner
order by 1;
