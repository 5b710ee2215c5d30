import pg from 'pg';

export interface ScopedData {
  readonly tenants: readonly string[];
  readonly perTenant: number;
}

/**
 * The same rows twice: `items_plain` as an application keeps them that writes its own WHERE, `items` under the floor
 * of Tenantry. Ids are not unique across tenants, so that a forgotten tenant would be seen.
 */
export async function createScopedData(
  adminUrl: string,
  { tenants, perTenant }: { tenants: number; perTenant: number },
): Promise<ScopedData> {
  const admin = new pg.Client({ connectionString: adminUrl });
  await admin.connect();
  const columns =
    'tenant_id uuid not null, id bigint not null, name text not null, price numeric(10,2) not null, created_at timestamptz not null';
  await admin.query(`
    grant create on schema public to tenantry_owner;
    create table items_plain (${columns});
    insert into items_plain
      select md5('tenant ' || t)::uuid, i, 'item ' || i || ' of tenant ' || t, (i * 7 + t) % 1000 / 3.0, timestamptz '2026-01-01' + i * interval '1 minute'
      from generate_series(1, ${tenants}) t, generate_series(1, ${perTenant}) i;
    alter table items_plain add primary key (tenant_id, id);
    create table items (like items_plain including defaults);
    insert into items select * from items_plain;
    alter table items add primary key (tenant_id, id);
    grant select, insert, update, delete on items, items_plain to tenantry_app;
    alter table items owner to tenantry_owner;
    alter table items enable row level security;
    create policy tenantry_floor on items as restrictive to public
      using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
    create policy tenantry_access on items using (true) with check (true)`);
  await admin.query('vacuum (analyze) items');
  await admin.query('vacuum (analyze) items_plain');
  const { rows } = await admin.query<{ id: string }>(
    `select md5('tenant ' || t)::uuid as id from generate_series(1, ${tenants}) t`,
  );
  await admin.end();
  return { tenants: rows.map(({ id }) => id), perTenant };
}
