-- TD019: a foreign table cannot carry policies
select format('%I.%I', n.nspname, c.relname) as object, null::text as level,
       format('%I can read this foreign table (server %I): row-level security does not exist for it, what the other side returns is what a tenant sees', current_user, s.srvname) as detail,
       format('revoke all on %I.%I from %s', n.nspname, c.relname,
         (select coalesce(string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', '), quote_ident(current_user))
          from aclexplode(c.relacl) a
          where a.grantee <> c.relowner and (a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage')))) as fix,
       null::text as statement,
       format('%I.%I', n.nspname, c.relname) as key
from pg_catalog.pg_foreign_table f
join pg_catalog.pg_foreign_server s on s.oid = f.ftserver
join pg_catalog.pg_class c on c.oid = f.ftrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where has_schema_privilege(current_user, n.oid, 'usage')
  and (has_any_column_privilege(current_user, c.oid, 'select, insert, update') or has_table_privilege(current_user, c.oid, 'delete'))
order by 1;
