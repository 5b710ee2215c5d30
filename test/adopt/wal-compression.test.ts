import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** A login of its own: a right on a parameter is the whole server's, and must be nobody else's. */
const login = `wal_${randomBytes(4).toString('hex')}`;
let db: TestDatabase;
let superuser: pg.Client;

beforeAll(async () => {
  db = await createTestDatabase();
  superuser = new pg.Client({ connectionString: db.superuserUrl });
  await superuser.connect();
  await superuser.query(`create role ${login} login password 'wal'; grant tenantry_admin to ${login}`);
  await db.query(`
    create table shops (id int primary key, name text not null);
    create table orders (id int primary key, shop_id int not null references shops (id));
    create table compressed (setting text);
    insert into shops values (1, 'One'), (2, 'Two');
    insert into orders select n, 1 + n % 2 from generate_series(1, 500) n`);
});
afterAll(async () => {
  await superuser.query(`revoke all on parameter wal_compression from ${login}`);
  await superuser.query(`drop owned by ${login} cascade`);
  await superuser.end();
  await db.drop();
  const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
  await last.connect();
  await last.query(`drop role ${login}`);
  await last.end();
});

/** Adopts up to the backfill as that login. @returns what the sessions that filled the orders had set */
async function settingsOfBackfill(): Promise<string[]> {
  const url = Object.assign(new URL(db.adminUrl), { username: login, password: 'wal' });
  const pool = new pg.Pool({ connectionString: url.href, max: 5 });
  pool.on('error', () => {});
  try {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops', tables: { 'public.compressed': { class: 'shared' } } });
    await adopt.run(plan, { to: 'expand' });
    // a trigger that came after expand does not sleep for the backfill
    await db.query(`
      create function tell() returns trigger language plpgsql as $$
      begin insert into public.compressed values (current_setting('wal_compression')); return new; end $$;
      create trigger tell before update of tenant_id on orders for each row execute function tell()`);
    await adopt.run(null, { to: 'backfill' });
    await db.query('drop trigger tell on orders; drop function tell()');
    expect(await db.query('select count(*)::int as n from orders where tenant_id is null')).toEqual([{ n: 0 }]);
    const told = await db.query<{ setting: string; rows: number }>(
      'select setting, count(*)::int as rows from compressed group by 1',
    );
    expect(told.reduce((sum, { rows }) => sum + rows, 0)).toBe(500);
    expect((await adopt.undo()).differences).toEqual([]);
    await db.query('truncate compressed');
    return told.map(({ setting }) => setting);
  } finally {
    await pool.end();
  }
}

describe('images of pages in the log of a backfill', () => {
  test('without a right to ask for it the server’s setting stays, and the backfill goes on', async () => {
    expect(await settingsOfBackfill()).toEqual(['off']);
  });

  test('with the right they are compressed by zstd, else by lz4, where the server is built with one', async () => {
    const { rows } = await superuser.query<{ values: string[] }>(
      `select enumvals as values from pg_settings where name = 'wal_compression'`,
    );
    const expected = ['zstd', 'lz4'].find((method) => rows[0]?.values.includes(method)) ?? 'off';
    await superuser.query(`grant set on parameter wal_compression to ${login}`);
    expect(await settingsOfBackfill()).toEqual([expected]);
  });

  test('what the server’s owner chose stays', async () => {
    await superuser.query(`grant set on parameter wal_compression to ${login}`);
    await superuser.query(`alter role ${login} in database ${db.name} set wal_compression = 'pglz'`);
    expect(await settingsOfBackfill()).toEqual(['pglz']);
    await superuser.query(`alter role ${login} in database ${db.name} reset wal_compression`);
  });
});
