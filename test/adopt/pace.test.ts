import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { startTenantry, tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(`
    create table shops (id int primary key, name text not null);
    create table orders (id int primary key, shop_id int not null references shops (id));
    create table parcels (id int primary key, shop_id int not null references shops (id), content text not null);
    alter table parcels alter content set storage plain;
    insert into shops values (1, 'One'), (2, 'Two');
    insert into orders select n, 1 + n % 2 from generate_series(1, 40000) n`);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

describe('batches of a backfill', () => {
  test('follow the time that they are to take', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const batches = async (batchMilliseconds: number): Promise<number> => {
      let asked = 0;
      // what the run before left behind is no page of this one
      await db.query('vacuum full orders');
      await adopt.run(plan, {
        to: 'backfill',
        batchMilliseconds,
        nice: 0,
        throttle: ({ table }) => {
          if (table === 'public.orders') asked += 1;
          return 0;
        },
      });
      await adopt.undo();
      return asked;
    };
    const [short, long] = [await batches(1), await batches(400)];
    expect(short).toBeGreaterThan(2 * long);
  });

  test('one that is too large for its time is rolled back and made smaller', async () => {
    // four to a page, so that all of them are fifty pages, passed over in batches of thirteen
    await db.query(`insert into parcels select n, 1 + n % 2, repeat('x', 1900) from generate_series(1, 200) n`);
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    // thirteen pages of such rows take longer than a statement may, one page does not; a sequence remembers what was rolled back
    await db.query(`
      create sequence tried;
      create function dawdle() returns trigger language plpgsql as $$
      begin perform nextval('public.tried'), pg_sleep(0.015); return new; end $$;
      create trigger dawdle before update of tenant_id on parcels for each row execute function dawdle()`);
    await adopt.run(null, { to: 'backfill' });
    const [row] = await db.query<{ tried: number; filled: number; recorded: number }>(`
      select (select last_value from tried)::int as tried, (select count(tenant_id) from parcels)::int as filled,
             (select s.rows_done from tenantry.adoption_steps s where s.id = 'backfill/public.parcels/rows' order by s.started_at desc limit 1)::int as recorded`);
    expect(row).toMatchObject({ filled: 200, recorded: 200 });
    expect(row!.tried).toBeGreaterThan(200);
    await db.query('drop trigger dawdle on parcels; drop function dawdle(); drop sequence tried');
    expect((await adopt.undo()).differences).toEqual([]);
  });
});

test('the hours of the command reach the run, which says until when it sleeps and is stopped by a signal', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-pace-'));
  const file = join(folder, 'plan.yaml');
  const before = { ...process.env };
  Object.assign(process.env, { DATABASE_URL: db.adminUrl, TENANTRY_ADMIN_URL: db.adminUrl });
  try {
    expect((await tenantry(['adopt', 'plan', '--root', 'public.shops', '--file', file])).code).toBe(0);
    const [hours] = await db.query<{ from: string; to: string }>(
      `select to_char(now() at time zone 'Asia/Tokyo' + interval '2 hours', 'HH24:MI') as from,
              to_char(now() at time zone 'Asia/Tokyo' + interval '5 hours', 'HH24:MI') as to`,
    );
    const window = `${hours!.from}-${hours!.to}`;
    const { ended, said, saying } = startTenantry([
      'adopt',
      'run',
      '--file',
      file,
      '--window',
      window,
      '--time-zone',
      'Asia/Tokyo',
      '--max-wal',
      '20MB',
    ]);
    await saying('sleeps until');
    expect(said()).toContain(`outside ${window} (Asia/Tokyo): sleeps until`);
    process.emit('SIGTERM');
    expect(await ended).toBe(130);
    expect(await createAdopt({ adminPool: pool }).status()).toMatchObject({
      phase: 'preflight',
      running: false,
      status: 'open',
    });
    expect((await tenantry(['adopt', 'run', '--file', file, '--max-wal', 'much'])).code).toBe(2);
    expect((await tenantry(['adopt', 'undo', '--yes'])).code).toBe(0);
  } finally {
    process.env = before;
    rmSync(folder, { recursive: true, force: true });
  }
});
