import type { TestDatabase } from '../support/database.ts';

/** What `off --restore-owner` must give back: owners, rights, flags, policies, of relations and of the schema. */
export async function catalogOf(db: TestDatabase): Promise<unknown[]> {
  return db.query(`
    select c.relname, pg_get_userbyid(c.relowner) as owner, c.relrowsecurity, c.relforcerowsecurity,
      (select array_agg(format('%s|%s|%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, a.privilege_type, a.is_grantable) order by 1)
       from (select (aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)))).*) a) as grants,
      (select array_agg(p.polname::text order by p.polname) from pg_policy p where p.polrelid = c.oid) as policies,
      (select array_agg(pg_get_constraintdef(k.oid) order by k.conname) from pg_constraint k where k.conrelid = c.oid) as constraints
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S', 'v')
    union all
    select 'schema public', pg_get_userbyid(n.nspowner), null, null,
      (select array_agg(format('%s|%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, a.privilege_type) order by 1) from aclexplode(n.nspacl) a), null, null
    from pg_namespace n where n.nspname = 'public'
    order by 1`);
}
