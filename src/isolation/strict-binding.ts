import { type Queryable, type Row, renderSchema } from '../database/sql.ts';

const bodies = {
  on: `declare
  v pg_catalog.uuid := tenantry.legacy_tenant();
begin
  if v is null then
    raise exception 'TNT_CONTEXT_MISSING: this statement came without a tenant'
      using errcode = '42501', hint = 'Run it inside withTenant({ tenantId, userId }, fn).';
  end if;
  return v;
end`,
  off: `begin
  return tenantry.legacy_tenant();
end`,
};

/**
 * On: a statement without a tenant is an error on every enforced table. Off: it finds no rows. The function's body is
 * replaced, so that statements with a tenant pay nothing for it; takes effect for the next statement of every session.
 */
export async function setStrictBinding(admin: Queryable, schema: string, strict: boolean): Promise<void> {
  const state = strict ? 'on' : 'off';
  await admin.query(
    renderSchema(
      `create or replace function tenantry.missing_tenant() returns uuid language plpgsql stable parallel safe as $$
${bodies[state]} $$;
comment on function tenantry.missing_tenant() is 'strict binding: ${state}'`,
      schema,
    ),
  );
}

/** Whether a statement without a tenant is an error. */
export async function readStrictBinding(admin: Queryable, schema: string): Promise<boolean> {
  const { rows } = await admin.query<Row & { comment: string | null }>(
    renderSchema(
      `select pg_catalog.obj_description('tenantry.missing_tenant()'::pg_catalog.regprocedure, 'pg_proc') as comment`,
      schema,
    ),
  );
  return rows[0]?.comment === 'strict binding: on';
}
