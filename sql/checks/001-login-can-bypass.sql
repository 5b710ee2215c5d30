-- TD001: the login itself is above row-level security
select format('login %I', r.rolname) as object, null::text as level,
       format('%I %s', r.rolname, a.what) as detail,
       format('alter role %I %s', r.rolname, a.remedy) as fix, null::text as statement,
       format('%s:%s', r.rolname, a.attribute) as key
from pg_catalog.pg_roles r
cross join lateral (values
  ('superuser', r.rolsuper, 'is a superuser: no policy applies to it', 'nosuperuser'),
  ('bypassrls', r.rolbypassrls, 'has BYPASSRLS: no policy applies to it', 'nobypassrls'),
  ('createrole', r.rolcreaterole, 'has CREATEROLE: it can make or enter a role that owns the tables', 'nocreaterole'),
  ('replication', r.rolreplication, 'has REPLICATION: it can copy the whole cluster, past every policy', 'noreplication')
) a (attribute, present, what, remedy)
where r.rolname = current_user and a.present
order by a.attribute;
