-- TD015: a rewrite rule acts on a protected table with its owner's rights
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('rule %I %s; what a rule does, it does with the rights of %s, past the policies', r.rulename,
         case when p.relation = r.ev_class then 'rewrites statements on this table' else format('reaches %s', p.name) end,
         c.relowner::regrole) as detail,
       format('drop rule %I on %I.%I -- and write it as a trigger', r.rulename, n.nspname, c.relname) as fix,
       null::text as statement,
       format('%I.%I:%s', n.nspname, c.relname, r.rulename) as key
from pg_catalog.pg_rewrite r
join pg_catalog.pg_class c on c.oid = r.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join lateral (
  select p.* from protected p
  where p.relation = r.ev_class or exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
      and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = p.relation)
  order by p.relation <> r.ev_class, p.name
  limit 1
) p on true
where r.rulename <> '_RETURN'
order by 1, r.rulename;
