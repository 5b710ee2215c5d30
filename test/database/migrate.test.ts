import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { assertMigrated, migrateDown, migrateUp, migrationStatus } from '../../src/database/migrate.ts';
import { listMigrations } from '../../src/database/migrations.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;

const objects = (): Promise<Record<string, unknown>[]> =>
  db.query(`
    select c.relkind::text as kind, c.relname::text as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'tenantry'
    union all
    select 'f', p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'tenantry'
    order by 1, 2`);

describe('A2, D1: migrations', () => {
  beforeEach(async () => {
    db = await createTestDatabase({ migrated: false });
  });
  afterEach(() => db.drop());

  it('go up, down one step, down wholly and up again; run again they change nothing', async () => {
    const all = listMigrations();
    expect(await migrateUp(db.admin)).toHaveLength(all.length);
    const before = await objects();
    expect(await migrateUp(db.admin)).toEqual([]);
    expect(await objects()).toEqual(before);

    expect((await migrateDown(db.admin)).map((m) => m.id)).toEqual([all.length]);
    expect(await migrateUp(db.admin)).toHaveLength(1);
    expect(await objects()).toEqual(before);

    expect(await migrateDown(db.admin, { to: 0 })).toHaveLength(all.length);
    expect(await objects()).toEqual([]);
    expect(await migrateUp(db.admin)).toHaveLength(all.length);
    expect(await objects()).toEqual(before);
  });

  it('each go down and up again alone', async () => {
    for (const { id } of listMigrations()) {
      await migrateUp(db.admin, { to: id });
      await migrateDown(db.admin);
      await migrateUp(db.admin, { to: id });
    }
    await assertMigrated(db.admin);
  });

  it('are safe when twenty run at once', async () => {
    const pools = Array.from({ length: 20 }, () => new pg.Pool({ connectionString: db.adminUrl, max: 1 }));
    try {
      const applied = await Promise.all(pools.map((pool) => migrateUp(pool)));
      expect(applied.flat()).toHaveLength(listMigrations().length);
      const status = await migrationStatus(db.admin);
      expect(status.every((migration) => migration.appliedAt instanceof Date && !migration.edited)).toBe(true);
    } finally {
      await Promise.all(pools.map((pool) => pool.end()));
    }
  });

  it('work in a schema of another name', async () => {
    await migrateUp(db.admin, { schema: 'Multi Tenant' });
    const [row] = await db.query(`select "Multi Tenant".current_tenant() as tenant`);
    expect(row).toEqual({ tenant: null });
    expect(await objects()).toEqual([]);
    await migrateDown(db.admin, { schema: 'Multi Tenant', to: 0 });
  });

  it('say what is missing, edited or newer', async () => {
    await expect(assertMigrated(db.admin)).rejects.toMatchObject({ code: 'TNT_SCHEMA_MISSING' });
    await migrateUp(db.admin, { to: 1 });
    if (listMigrations().length > 1)
      await expect(assertMigrated(db.admin)).rejects.toMatchObject({ code: 'TNT_SCHEMA_OUTDATED' });
    await migrateUp(db.admin);
    await db.query(`update tenantry.migrations set checksum = 'x' where id = 1`);
    await expect(migrateUp(db.admin)).rejects.toMatchObject({ code: 'TNT_MIGRATION_EDITED' });
    await db.query(
      `insert into tenantry.migrations (id, name, checksum, tenantry_version) values (9999, 'later', 'x', '9')`,
    );
    await expect(assertMigrated(db.admin)).rejects.toMatchObject({ code: 'TNT_SCHEMA_NEWER' });
  });

  it('leave nothing behind when one fails, and name it when somebody half-applied it by hand', async () => {
    const broken = listMigrations().map((m) => (m.id === 1 ? { ...m, up: `${m.up}\nselect 1/0;` } : m));
    await expect(migrateUp(db.admin, { migrations: broken })).rejects.toMatchObject({ code: 'TNT_MIGRATION_FAILED' });
    expect(await objects()).toEqual([]);
    await db.query('create schema tenantry');
    await expect(migrateUp(db.admin)).rejects.toMatchObject({
      code: 'TNT_MIGRATION_FAILED',
      hint: expect.stringContaining('half-applied'),
    });
  });

  it('refuse a login that may not create', async () => {
    const pool = new pg.Pool({ connectionString: db.appUrl, max: 1 });
    await expect(migrateUp(pool)).rejects.toMatchObject({ code: 'TNT_PRIVILEGE_MISSING' });
    await pool.end();
  });
});

describe('D3: session context functions', () => {
  let migrated: TestDatabase;
  beforeAll(async () => {
    migrated = await createTestDatabase();
  });
  afterAll(() => migrated.drop());

  it('read the transaction-local settings and answer null without them', async () => {
    const [empty] = await migrated.query(
      'select tenantry.current_tenant() t, tenantry.current_tenant_key() k, tenantry.current_user_id() u',
    );
    expect(empty).toEqual({ t: null, k: null, u: null });
    const id = '01890000-0000-7000-8000-000000000001';
    const client = await migrated.admin.connect();
    await client.query('begin');
    await client.query(`select set_config('app.tenant_id', $1, true), set_config('app.user_id', $1, true)`, [id]);
    const { rows } = await client.query(
      'select tenantry.current_tenant() t, tenantry.current_tenant_key() k, tenantry.current_user_id() u',
    );
    expect(rows[0]).toEqual({ t: id, k: id, u: id });
    await client.query('commit');
    // a setting that was set once becomes '' and not null after its transaction
    const after = await client.query('select tenantry.current_tenant() t');
    expect(after.rows[0]).toEqual({ t: null });
    client.release();
  });

  it('make UUIDs of version 7 that sort by time', async () => {
    const rows = await migrated.query<{ id: string }>(
      'select tenantry.uuidv7()::text id from generate_series(1, 5), lateral (select pg_sleep(0.002)) s order by 1',
    );
    for (const { id } of rows)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const [a] = await migrated.query<{ id: string }>('select tenantry.uuidv7()::text id');
    expect(a!.id > rows.at(-1)!.id).toBe(true);
  });
});
