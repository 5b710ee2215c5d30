import type pg from 'pg';

/** One organization that is asked for, with its only member. */
export interface Sample {
  readonly tenantId: string;
  readonly userId: string;
  readonly slug: string;
}

/**
 * Fills a migrated database with `count` organizations, each with an administrator, a workspace and 20 resources (one in
 * the largest: every hundredth has 20), in bulk and as the triggers would have it. Returns a sample spread over all.
 */
export async function fillTenants(admin: pg.Client, count: number): Promise<Sample[]> {
  await admin.query('set role tenantry_owner');
  const tables = ['users', 'organizations', 'org_members', 'principals', 'workspaces', 'resources', 'resource_visible'];
  const list = tables.map((table) => `'tenantry.${table}'::regclass`).join(', ');
  const keys = (
    await admin.query<{ table: string; name: string; definition: string }>(
      `select conrelid::regclass::text as "table", conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
       where contype = 'f' and conrelid in (${list})`,
    )
  ).rows;
  const indexes = (
    await admin.query<{ name: string; definition: string }>(
      `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index i
       where indrelid in (${list}) and not exists (select 1 from pg_constraint c where c.conindid = i.indexrelid)`,
    )
  ).rows;
  for (const { table, name } of keys) await admin.query(`alter table ${table} drop constraint ${name}`);
  for (const { name } of indexes) await admin.query(`drop index ${name}`);
  for (const table of tables) await admin.query(`alter table tenantry.${table} disable trigger user`);
  await admin.query(
    `create temp table plan as select i, tenantry.uuidv7() as tenant, tenantry.uuidv7() as member, tenantry.uuidv7() as workspace
     from generate_series(1, $1::int) i`,
    [count],
  );
  await admin.query(`insert into tenantry.users (id, email) select member, 'user' || i || '@example.com' from plan`);
  await admin.query(
    `insert into tenantry.organizations (id, key, name, slug) select tenant, tenant, 'Organization ' || i, 'organization-' || i from plan`,
  );
  await admin.query(
    `insert into tenantry.org_members (tenant_id, user_id, role) select tenant, member, 'admin' from plan`,
  );
  await admin.query(
    `insert into tenantry.principals (tenant_id, id, kind) select tenant, tenant, 'organization' from plan union all select tenant, member, 'user' from plan
     union all select p.tenant, s.id, 'role' from plan p, tenantry.system_roles s`,
  );
  await admin.query(
    `insert into tenantry.workspaces (tenant_id, id, kind, name, editor_principal_id)
     select tenant, workspace, 'organization', 'General', '00000000-0000-7000-8000-0000000000a1' from plan`,
  );
  await admin.query(
    `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name, updated_at, readers, writers, admins)
     select tenant, workspace, 'tag', member, 'resource ' || n, now() - n * interval '1 minute', array[member], array[member], array[member]
     from plan, generate_series(1, case when $1::int <= 10000 or i % 100 = 0 then 20 else 1 end) n`,
    [count],
  );
  await admin.query(
    `insert into tenantry.resource_visible (tenant_id, principal_id, updated_at, resource_id, type)
     select r.tenant_id, p, r.updated_at, r.id, r.type from tenantry.resources r, unnest(r.readers) p`,
  );
  for (const table of tables) await admin.query(`alter table tenantry.${table} enable trigger user`);
  for (const { definition } of indexes) await admin.query(definition);
  for (const { table, name, definition } of keys) {
    await admin.query(`alter table ${table} add constraint ${name} ${definition}`);
  }
  const { rows } = await admin.query<Sample>(
    `select tenant as "tenantId", member as "userId", 'organization-' || i as slug from plan
     where $1::int <= 10000 or i % 100 = 0 order by md5(i::text) limit 500`,
    [count],
  );
  await admin.query('drop table plan');
  await admin.query('reset role');
  for (const table of tables) await admin.query(`vacuum (analyze) tenantry.${table}`);
  return rows;
}
