import type { Queryable, Row } from '../database/sql.ts';
import type { Inspection } from './inspection.ts';
import type { TablePlan } from './plan-types.ts';
import type { PreflightFinding } from './preflight.ts';

/**
 * Views that would show every tenant's rows: they read with the rights of their owner, and no policy binds a superuser, BYPASSRLS, or
 * a member of tenantry_owner, to whom the tables will belong.
 */
export async function viewFindings(
  db: Queryable,
  inspection: Inspection,
  tables: readonly TablePlan[],
): Promise<PreflightFinding[]> {
  const names = new Set(tables.map(({ table }) => table));
  const views = inspection.views.filter(
    (view) => !view.materialized && !view.securityInvoker && view.reads.some((table) => names.has(table)),
  );
  if (views.length === 0) return [];
  const above = new Set(
    await selectAbovePolicies(
      db,
      views.map(({ owner }) => owner),
    ),
  );
  return views
    .filter(({ owner }) => above.has(owner))
    .map(({ name, owner }) => ({
      code: 'view-above-policies',
      level: 'warning',
      object: name,
      message: `view ${name} reads with the rights of ${owner}, whom no policy will bind: it would show every tenant's rows`,
      fix: `alter view ${name} set (security_invoker = true); -- or give it to a role that is no member of tenantry_owner`,
    }));
}

/** Of these roles, those that policies of tables of tenantry_owner do not bind. */
async function selectAbovePolicies(db: Queryable, owners: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<Row & { owner: string }>(
    `select r.rolname::text as owner from pg_roles r
     where r.rolname = any($1::text[])
       and (r.rolsuper or r.rolbypassrls or exists (select from pg_roles o where o.rolname = 'tenantry_owner' and pg_has_role(r.oid, o.oid, 'usage')))`,
    [owners],
  );
  return rows.map(({ owner }) => owner);
}
