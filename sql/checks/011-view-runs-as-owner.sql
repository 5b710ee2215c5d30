-- TD011: a view reads a protected table with the rights of an owner above the policies
with recursive protected as (
  select * from tenantry.protected_tables() where relation is not null
),
login as (
  select oid from pg_catalog.pg_roles where rolname = current_user
),
edge as (
  select distinct r.ev_class as view, d.refobjid as relation
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class
  where r.rulename = '_RETURN'
),
view as (
  select c.oid, c.relowner, n.nspname, c.relname,
         coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false) as invoker
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'v' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
),
-- whose rights apply is decided at each view on the way down; an invoker's view inside an owner's view runs as that owner
reach as (
  select v.oid as top, v.oid as view, v.oid as decided, case when v.invoker then l.oid else v.relowner end as runner
  from view v cross join login l
  where has_schema_privilege(l.oid, v.nspname, 'usage')
    and (has_any_column_privilege(l.oid, v.oid, 'select, insert, update') or has_table_privilege(l.oid, v.oid, 'delete'))
  union
  select r.top, v.oid, case when v.invoker then r.decided else v.oid end, case when v.invoker then r.runner else v.relowner end
  from reach r join edge e on e.view = r.view join view v on v.oid = e.relation
)
select format('%I.%I', t.nspname, t.relname) as object, null::text as level,
       format('it reads %s with the rights of %s, to whom the policies do not apply',
         string_agg(distinct p.name, ', '), string_agg(distinct quote_ident(o.rolname), ', ')) as detail,
       string_agg(distinct format('alter view %I.%I set (security_invoker = true)', i.nspname, i.relname), '; ') as fix,
       null::text as statement,
       format('%I.%I', t.nspname, t.relname) as key
from reach r
join edge e on e.view = r.view
join protected p on p.relation = e.relation
join pg_catalog.pg_class c on c.oid = p.relation
join pg_catalog.pg_roles o on o.oid = r.runner
join view t on t.oid = r.top
join view i on i.oid = r.decided
where r.runner <> (select l.oid from login l)
  and (o.rolsuper or o.rolbypassrls or (pg_has_role(o.oid, p.owner, 'usage') and not c.relforcerowsecurity))
group by t.nspname, t.relname
order by 1;
