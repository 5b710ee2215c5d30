-- TD057: a login has a tenant without a context, and not as it was declared
with declared as (
  select l.login from tenantry.legacy_login_names() l (login)
)
select format('login %I', r.rolname) as object, null::text as level,
       format('%s is set for every session of it, and nobody declared that: its statements run as that tenant, whatever they are for', s.name) as detail,
       format('tenantry adopt legacy-login %s --organization SLUG, after: alter role %I%s reset %s', r.rolname, r.rolname,
         case when d.setdatabase = 0 then '' else format(' in database %I', current_database()) end, s.name) as fix,
       null::text as statement,
       format('undeclared:%s', r.rolname) as key
from pg_catalog.pg_db_role_setting d
-- the settings of the login that asks are TD036
join pg_catalog.pg_roles r on r.oid = d.setrole and r.rolname <> current_user
cross join lateral (select split_part(u.entry, '=', 1) as name from unnest(d.setconfig) u (entry)) s
where s.name in ('app.tenant_id', 'app.tenant_key')
  and d.setdatabase in (0, (select b.oid from pg_catalog.pg_database b where b.datname = current_database()))
union all
select format('login %I', c.login), null, 'it was declared for one tenant, and does not exist',
       format('tenantry adopt legacy-login %s --remove', c.login), null, format('gone:%s', c.login)
from declared c where not exists (select from pg_catalog.pg_roles r where r.rolname = c.login)
union all
select format('login %I', r.rolname), 'error',
       format('it was declared for one tenant, and %s: the policies do not hold it', w.what),
       format('Take that from it, or: tenantry adopt legacy-login %s --remove', r.rolname), null, format('powerful:%s', r.rolname)
from declared c
join pg_catalog.pg_roles r on r.rolname = c.login
cross join lateral (
  select string_agg(v.what, ' and ' order by v.n) as what
  from (values
    (1, r.rolsuper, 'is a superuser'), (2, r.rolbypassrls, 'has BYPASSRLS'),
    (3, r.rolcreaterole, 'has CREATEROLE'), (4, r.rolreplication, 'has REPLICATION'),
    (5, not r.rolsuper and exists (select from tenantry.protected_tables() p where pg_has_role(r.oid, p.owner, 'member')),
        'can become the owner of protected tables')
  ) v (n, present, what)
  where v.present
) w
where w.what is not null
union all
select format('login %I', c.login), 'error',
       'it was declared for one tenant, but tenantry.legacy_tenant() does not know it: its statements find no rows',
       format('tenantry adopt legacy-login %s --remove, and declare it again', c.login), null, format('unanswered:%s', c.login)
from declared c
join pg_catalog.pg_class k on k.oid = 'tenantry.migrations'::regclass
left join pg_catalog.pg_proc f on f.pronamespace = k.relnamespace and f.proname = 'legacy_tenant' and f.pronargs = 0
where coalesce(strpos(f.prosrc, quote_literal(c.login) || '::pg_catalog.name'), 0) = 0
order by 1, 6;
