-- TD043: tables made later will be open by default
select format('default privileges of %s%s', d.defaclrole::regrole,
         case when d.defaclnamespace = 0 then '' else format(' in schema %s', d.defaclnamespace::regnamespace) end) as object,
       null::text as level,
       format('tables that it makes will grant %s to %s', string_agg(a.privilege_type, ', ' order by a.privilege_type), g.grantee) as detail,
       min(r.statement) || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type) || ' on tables from ' || g.grantee as fix,
       min(r.statement) || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type) || ' on tables from ' || g.grantee as statement,
       format('%s:%s:%s', d.defaclrole::regrole, case when d.defaclnamespace = 0 then '*' else d.defaclnamespace::regnamespace::text end, g.grantee) as key
from pg_catalog.pg_default_acl d
cross join lateral aclexplode(d.defaclacl) a
cross join lateral (select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee) g
cross join lateral (
  select format('alter default privileges for role %s%s revoke ', d.defaclrole::regrole,
    case when d.defaclnamespace = 0 then '' else format(' in schema %s', d.defaclnamespace::regnamespace) end) as statement
) r
where d.defaclobjtype = 'r' and a.grantee <> d.defaclrole
  and (a.grantee = 0 or (a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER') and pg_has_role(current_user, a.grantee, 'usage')))
group by d.defaclrole, d.defaclnamespace, g.grantee
order by 1;
