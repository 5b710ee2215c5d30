-- TD040: the login may create temporary tables
select format('database %I', current_database()) as object, null::text as level,
       format('%I may create temporary tables: one left on a pooled connection is read by the next tenant, and it shadows tables of the same name', current_user) as detail,
       format('revoke temporary on database %I from public%s', current_database(),
         (select string_agg(distinct format(', %s', a.grantee::regrole), '')
          from pg_catalog.pg_database d cross join lateral aclexplode(d.datacl) a
          where d.datname = current_database() and a.privilege_type = 'TEMPORARY' and a.grantee not in (0, d.datdba)
            and pg_has_role(current_user, a.grantee, 'usage'))) as fix,
       null::text as statement,
       current_database()::text as key
where has_database_privilege(current_user, current_database(), 'temporary');
