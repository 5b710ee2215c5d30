-- TD044: the login sees what the sessions of other tenants do
select format('login %I', current_user) as object, null::text as level,
       format('%I is a member of %s: it sees %s', current_user, r.rolname, v.what) as detail,
       format('revoke %I from %I', r.rolname, current_user) as fix, null::text as statement,
       format('%s:%s', current_user, r.rolname) as key
from (values
  ('pg_monitor', 'the statements of every session and the settings of the server'),
  ('pg_read_all_stats', 'the statements of every session in pg_stat_activity and pg_stat_statements'),
  ('pg_read_all_settings', 'settings that are for superusers'),
  ('pg_stat_scan_tables', 'the pages and locks of every table')
) v (name, what)
join pg_catalog.pg_roles r on r.rolname = v.name
where (pg_has_role(current_user, r.oid, 'usage')
    or pg_has_role(current_user, r.oid, case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end))
  and not (select l.rolsuper from pg_catalog.pg_roles l where l.rolname = current_user)
order by r.rolname;
