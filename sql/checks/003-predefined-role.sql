-- TD003: the login holds a predefined role that reads, writes or runs past the grants
select format('login %I', current_user) as object, v.level,
       format('%I is a member of %s, which %s', current_user, r.rolname, v.what) as detail,
       case when r.rolname = 'pg_database_owner' then format('alter database %I owner to …', current_database())
            else format('revoke %I from %I', r.rolname, current_user) end as fix,
       null::text as statement,
       format('%s:%s', current_user, r.rolname) as key
from (values
  ('pg_read_all_data', null, 'reads every table, those without policies too'),
  ('pg_write_all_data', null, 'writes every table, those without policies too'),
  ('pg_read_server_files', null, 'reads files of the server, the tables'' own among them'),
  ('pg_write_server_files', null, 'writes files of the server'),
  ('pg_execute_server_program', null, 'runs programs as the server''s user'),
  ('pg_create_subscription', null, 'may open connections from the server to anywhere'),
  ('pg_maintain', 'warn', 'may refresh, reindex and lock every table'),
  ('pg_signal_backend', 'warn', 'may end the sessions of others'),
  ('pg_database_owner', 'warn', 'means that it owns this database: it can create schemas and change grants')
) v (name, level, what)
join pg_catalog.pg_roles r on r.rolname = v.name
-- what can be entered counts as what is held; before 16 that is every membership
where (pg_has_role(current_user, r.oid, 'usage')
    or pg_has_role(current_user, r.oid, case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end))
  and not (select l.rolsuper from pg_catalog.pg_roles l where l.rolname = current_user)
order by r.rolname;
