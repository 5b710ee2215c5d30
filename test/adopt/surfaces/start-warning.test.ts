import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../../src/adopt/index.ts';

import { withSystem } from '../../../src/context/index.ts';
import { assertMigrated, createDoctor, createPool } from '../../../src/index.ts';
import { startTenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

describe('the start of an application after an adoption', () => {
  let db: TestDatabase;
  const before = { ...process.env };
  beforeAll(async () => {
    db = await createTestDatabase();
    Object.assign(process.env, {
      DATABASE_URL: db.appUrl,
      TENANTRY_ADMIN_URL: db.adminUrl,
      TENANTRY_INTERNAL_TOKEN: 'a-token-for-tests-0123456789',
    });
    await db.query(`
      create table public.shops (id bigint primary key, name text not null);
      create table public.orders (id bigint primary key, shop_id bigint not null references public.shops (id));
      insert into public.shops values (1, 'One'); insert into public.orders values (1, 1);`);
    const pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run((await adopt.plan({ root: 'public.shops' })).plan);
    await pool.end();
  });
  afterAll(async () => {
    process.env = before;
    await db.drop();
  });

  const atStart = async (): Promise<string[]> => {
    const pool = createPool({ connectionString: db.appUrl, max: 1 });
    const said: string[] = [];
    try {
      await withSystem('start', () => assertMigrated(pool, { onWarning: (message) => said.push(message) }));
    } finally {
      await pool.end();
    }
    return said;
  };

  test('B7: the library’s check at start says once what nobody classified, over the application’s own login', async () => {
    expect(await atStart()).toEqual([]);
    await db.query('create table public.currencies (code text primary key)');
    expect(await atStart()).toEqual([
      'Since the adoption: 1 unclassified table (public.currencies). Next: tenantry adopt plan --check',
    ]);
    expect(await atStart()).toEqual([]);
  });

  test('B7: doctor is silent about keys that the adoption itself guards, and names what came after it', async () => {
    const app = new pg.Pool({ connectionString: db.appUrl, max: 2 });
    const admin = new pg.Pool({ connectionString: db.adminUrl, max: 2 });
    const only = ['TD024', 'TD025', 'TD039', 'TD053', 'TD054', 'TD055', 'TD056'];
    const keys = async () => (await createDoctor({ app, admin, only }).run()).findings.map(({ key }) => key);
    try {
      expect(await keys()).toEqual(['TD053:public.currencies']);
      await db.query(`set role tenantry_owner; alter table public.orders add column previous_id bigint,
        add constraint previous foreign key (previous_id) references public.orders (id); reset role`);
      expect((await keys()).sort()).toEqual(['TD053:public.currencies', 'TD054:public.orders:previous']);
      // and so does a start
      expect(await atStart()).toEqual([
        'Since the adoption: 1 unclassified table (public.currencies); 1 unclassified foreign key (public.orders(previous_id)). Next: tenantry adopt plan --check',
      ]);
      await db.query('set role tenantry_owner; alter table public.orders drop constraint previous; reset role');
    } finally {
      await app.end();
      await admin.end();
    }
  });

  test('B7: tenantry serve prints one line with the next step, listens, and is ready', async () => {
    await db.query('create table public.rates (code text primary key)');
    const { ended, said, saying } = startTenantry(['serve', '--port', '0']);
    await saying('Listening');
    const base = /http:\/\/[\d.:]+/.exec(said())![0];
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    process.emit('SIGTERM');
    expect(await ended).toBe(0);
    expect(said().split('\n')[0]).toBe(
      'warning Since the adoption: 2 unclassified tables (public.currencies, public.rates). Next: tenantry adopt plan --check',
    );
    expect(said().match(/warning/g)).toHaveLength(1);
  });
});
