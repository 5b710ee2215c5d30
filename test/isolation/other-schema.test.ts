import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateUp } from '../../src/database/migrate.ts';
import { createIsolation, createShadowRecorder, type Isolation } from '../../src/isolation/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const schema = 'My Kernel';
let db: TestDatabase;
let app: Pool;
let isolation: Isolation;

beforeAll(async () => {
  db = await createTestDatabase({ migrated: false });
  await migrateUp(db.admin, { schema });
  app = new Pool({ connectionString: db.appUrl, max: 1 });
  isolation = createIsolation({ admin: db.admin, schema });
});
afterAll(async () => {
  await app.end();
  await db.drop();
});

describe('a kernel in a schema of another name', () => {
  it('protects, rehearses, reports, explains, enforces and gives back', async () => {
    const [acme = { id: '' }] = await db.query<{ id: string }>(
      `insert into "My Kernel".organizations (name, slug) values ('Acme', 'acme') returning id`,
    );
    await db.query('create table public.notes (id int primary key)');
    await isolation.protect('notes', { mode: 'shadow' });
    const recorder = createShadowRecorder({ database: app, compareOn: app, schema });
    const client = await app.connect();
    client.on('notice', ({ message }) => {
      const [, , table = '', operation = ''] = (message ?? '').split(' ');
      recorder.onShadowMiss({
        table,
        operation,
        rows: 1,
        fingerprint: 'f',
        statement: 'select * from public.notes',
        callSite: undefined,
        context: undefined,
      });
    });
    await client.query("begin; select set_config('app.tenant_id', $$" + acme.id + '$$, true)');
    await client.query('insert into public.notes values (1)');
    await client.query('commit');
    expect((await client.query('select id from public.notes')).rows).toEqual([{ id: 1 }]);
    client.release();
    await recorder.close();
    expect(await isolation.shadowReport()).toMatchObject([
      { table: 'public.notes', operation: 'select', status: 'confirmed' },
    ]);
    expect(await isolation.explain({ table: 'notes', key: { id: 1 }, context: {} })).toMatchObject({
      verdict: 'counted',
    });
    await expect(isolation.enforce('notes')).rejects.toMatchObject({ code: 'TNT_SHADOW_NOT_CLEAN' });
    await isolation.enforce('notes', { force: true });
    expect((await app.query('select id from public.notes')).rows).toEqual([]);
    expect(await isolation.strictBinding(true)).toBe(true);
    await expect(app.query('select id from public.notes')).rejects.toMatchObject({ code: '42501' });
    expect(await isolation.strictBinding(false)).toBe(false);
    for (const mode of ['shadow', 'off', 'enforce'] as const) await isolation[mode]('My Kernel.resources');
    expect((await isolation.status()).map(({ table, mode, drift }) => [table, mode, drift])).toEqual([
      ['My Kernel.resources', 'enforced', []],
      ['public.notes', 'enforced', []],
    ]);
    await isolation.off('notes', { restoreOwner: true });
    expect((await app.query('select 1 as ok')).rows).toEqual([{ ok: 1 }]);
  });
});
