-- TD036: a setting is there before any context
select case when d.setrole = 0 then format('database %I', current_database())
            else format('login %s', d.setrole::regrole) end as object,
       case when s.name in ('row_security', 'search_path') then 'warn' end as level,
       case when s.name = 'row_security' then 'row_security is off in its settings: statements fail instead of being filtered'
            when s.name = 'search_path' then format('its settings look names up in other schemas before pg_catalog (%s): a function there is called in place of PostgreSQL''s own', s.value)
            when s.name = 'role' then format('its settings switch every new session to the role %s', s.value)
            else format('%s is set for every new session: a query without a context runs as that tenant', s.name) end as detail,
       r.statement as fix, r.statement as statement,
       format('%s:%s:%s', case when d.setrole = 0 then 'database' else current_user end, case when d.setdatabase = 0 then 'everywhere' else 'here' end, s.name) as key
from pg_catalog.pg_db_role_setting d
cross join lateral unnest(d.setconfig) u (entry)
cross join lateral (select split_part(u.entry, '=', 1) as name, substring(u.entry from '=(.*)$') as value) s
cross join lateral (
  select case when d.setrole = 0 then format('alter database %I reset %s', current_database(), n.name)
              when d.setdatabase = 0 then format('alter role %s reset %s', d.setrole::regrole, n.name)
              else format('alter role %s in database %I reset %s', d.setrole::regrole, current_database(), n.name) end as statement
  from (select string_agg(quote_ident(p), '.') as name from unnest(string_to_array(s.name, '.')) p) n
) r
where d.setdatabase in (0, (select b.oid from pg_catalog.pg_database b where b.datname = current_database()))
  and d.setrole in (0, (select l.oid from pg_catalog.pg_roles l where l.rolname = current_user))
  and (s.name ~ '^app\.' or (s.name = 'row_security' and s.value in ('off', 'false', 'no', '0')) or s.name = 'role'
    -- unless it is listed, pg_catalog comes first by itself
    or (s.name = 'search_path' and s.value ~ ',\s*"?pg_catalog\M'))
union all
select format('login %I', current_user), null,
       format('%s is set on a connection that has no context: by the connection string, the server''s configuration or an earlier user of the pool', v.name),
       'Remove it from the options of the connection string or from postgresql.conf; use only transaction-local settings.', null,
       format('session:%s', v.name)
from (values ('app.tenant_id'), ('app.tenant_key'), ('app.user_id')) v (name)
where current_setting(v.name, true) <> ''
order by 1, 6;
