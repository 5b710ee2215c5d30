import type { TestDatabase } from '../support/database.ts';

/** What `off --restore-owner` must give back: owners, rights, flags, policies, of relations and of the schema. */
export async function catalogOf(db: TestDatabase, schema = 'public'): Promise<unknown[]> {
  return db.query(
    `
    select c.relname, pg_get_userbyid(c.relowner) as owner, c.relrowsecurity, c.relforcerowsecurity,
      array(select format('%s|%s|%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, a.privilege_type, a.is_grantable)
        from aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a order by 1) as grants,
      (select array_agg(p.polname::text order by p.polname) from pg_policy p where p.polrelid = c.oid) as policies,
      (select array_agg(pg_get_constraintdef(k.oid) order by k.conname) from pg_constraint k where k.conrelid = c.oid) as constraints
    from pg_class c where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'p', 'S', 'v')
    union all
    select 'schema ' || $1::text, pg_get_userbyid(n.nspowner), null, null,
      array(select format('%s|%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, a.privilege_type)
        from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a order by 1), null, null
    from pg_namespace n where n.nspname = $1::text
    order by 1`,
    [schema],
  );
}
