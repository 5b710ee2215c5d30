import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { serverAccount } from '../../src/database/embedded/account.ts';
import { errorDefinitions } from '../../src/errors.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';
import { failure } from './support/failure.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let shop: ShopDatabase;
let before: string;
beforeAll(async () => {
  shop = await createShopDatabase(1000);
  before = await dumpSchema(shop.db.admin);
});
afterEach(async () => {
  const adopt = createAdopt({ adminPool: shop.pool });
  if ((await adopt.status())?.status === 'open') await adopt.undo();
  expect(await dumpSchema(shop.db.admin)).toBe(before);
});
afterAll(() => shop.drop());

describe('bad surroundings: a clear error, nothing half done, the next step named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-small-'));
  const mountable =
    process.getuid?.() === 0 &&
    process.env['TEST_DATABASE_URL'] === undefined &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]).status === 0;
  if (!mountable) console.log('full disk in adoption: skipped; it needs root and the right to mount a tmpfs');
  afterAll(() => {
    if (mountable) spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  test.skipIf(!mountable)(
    'a disk that fills in the middle of the backfill: the run stops, and goes on when there is room',
    async () => {
      const { uid, gid } = serverAccount();
      if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
      chmodSync(folder, 0o700);
      const superuser = new pg.Pool({ connectionString: shop.db.superuserUrl, max: 1 });
      const space = `small_${shop.db.name}`;
      try {
        // the tables alone are on the small disk: a write-ahead log that cannot grow would end the server instead
        await superuser.query(`create tablespace ${space} location '${folder}'`);
        await superuser.query(`alter table order_lines set tablespace ${space}`);
        const adopt = createAdopt({ adminPool: shop.pool });
        const { plan } = await adopt.plan({ root: 'public.shops' });
        await adopt.run(plan, { to: 'expand' });
        await superuser.query(`create unlogged table filler (content text) tablespace ${space}`);
        for (const rows of [20_000, 2000, 200, 20, 1]) {
          for (;;) {
            const full = await superuser
              .query(`insert into filler select repeat(md5(i::text), 60) from generate_series(1, ${rows}) i`)
              .then(
                () => false,
                () => true,
              );
            if (full) break;
          }
        }
        const error = await failure(adopt.run(null));
        expect(error).toMatchObject({ code: 'TNT_DISK_FULL', exitCode: 4 });
        expect(error.hint).toContain('run the same command again');
        const status = await adopt.status();
        expect(status).toMatchObject({ running: false, phase: 'expand' });
        expect(status?.lastError).toContain('no disk space');
        await superuser.query('drop table filler');
        expect((await adopt.run(null, { to: 'verify' })).phase).toBe('verify');
        expect(await countWrongTenants(shop.pool)).toEqual({});
        expect((await adopt.undo()).differences).toEqual([]);
      } finally {
        await superuser.query('drop table if exists filler');
        await superuser.query('alter table order_lines set tablespace pg_default');
        await superuser.query(`drop tablespace if exists ${space}`);
        await superuser.end();
      }
    },
  );

  test('a session that may only read, as on a replica', async () => {
    const url = new URL(shop.db.adminUrl);
    url.searchParams.set('options', '-c default_transaction_read_only=on');
    const readOnly = new pg.Pool({ connectionString: url.href, max: 4 });
    readOnly.on('error', () => {});
    const adopt = createAdopt({ adminPool: readOnly });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const error = await failure(adopt.run(plan));
    await readOnly.end();
    expect(error).toMatchObject({ code: 'TNT_PRIVILEGE_MISSING', exitCode: 4, hint: 'Connect to the primary server.' });
    expect(await createAdopt({ adminPool: shop.pool }).status()).not.toMatchObject({ status: 'open' });
  });

  test('a login without the rights is told whose tables they are, and what to grant', async () => {
    const login = `weak_${shop.db.name}`;
    const url = Object.assign(new URL(shop.db.adminUrl), { username: login, password: 'weak' });
    await shop.db.query(
      `create role ${login} login password 'weak'; grant tenantry_owner to ${login}; grant ${login} to tenantry_admin`,
    );
    const pool = new pg.Pool({ connectionString: url.href, max: 4 });
    const weak = createAdopt({ adminPool: pool });
    const { plan } = await createAdopt({ adminPool: shop.pool }).plan({ root: 'public.shops' });
    try {
      const blind = await failure(weak.plan({ root: 'public.shops' }));
      expect([blind.code, blind.hint]).toEqual(['TNT_PRIVILEGE_MISSING', `grant "${shop.shopLogin}" to "${login}";`]);
      expect(blind.message).toContain(`${login} may not read public.customers, which belongs to ${shop.shopLogin}`);
      // who may read and no more is told before anything is changed
      await shop.db.query(`grant select on all tables in schema public to ${login}`);
      expect((await weak.plan({ root: 'public.shops' })).conflicts).toEqual([]);
      const powerless = await failure(weak.run(plan));
      expect([powerless.code, powerless.hint]).toEqual([
        'TNT_PRIVILEGE_MISSING',
        `grant "${shop.shopLogin}" to "${login}";`,
      ]);
      expect(powerless.message).toContain('may not change public.shops');
      await shop.db.query(`revoke tenantry_owner from ${login}`);
      const stranger = await failure(weak.run(plan));
      expect([stranger.code, stranger.hint]).toEqual([
        'TNT_PRIVILEGE_MISSING',
        expect.stringContaining('member of tenantry_owner'),
      ]);
    } finally {
      await pool.end();
      await shop.db.query(`drop owned by ${login}; drop role ${login}`);
    }
  });

  test('a server that cannot be reached', async () => {
    const nobody = new pg.Pool({ connectionString: 'postgresql://nobody@127.0.0.1:1/nothing', max: 4 });
    const error = await failure(createAdopt({ adminPool: nobody }).run(null));
    await nobody.end();
    expect(error).toMatchObject({ code: 'TNT_SERVER_UNREACHABLE', exitCode: 4 });
  });

  test('every code that a run ends with names a next step', () => {
    for (const [code, { hint }] of Object.entries(errorDefinitions)) {
      if (/^TNT_(ADOPT|PLAN)_/.test(code))
        expect([code, hint]).toEqual([code, expect.stringMatching(/tenantry |again|first|^Nothing was changed/)]);
    }
  });
});

describe('bad data and names that are taken', () => {
  test('duplicates that keep a unique key from being one are listed before anything is changed', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    await shop.db.query(`update staff set name = 'Twin' where id in (1, 2, 3)`);
    // the application's own CREATE UNIQUE INDEX CONCURRENTLY failed over them
    await shop.db.query('create unique index concurrently staff_name_key on staff (name)').catch(() => undefined);
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const findings = (await adopt.preflight(plan)).filter(({ object }) => object === 'public.staff');
    expect(findings).toMatchObject([
      { code: 'invalid-index', level: 'warning', fix: 'drop index concurrently public.staff_name_key;' },
      { code: 'duplicate-keys', level: 'blocker' },
    ]);
    expect(findings[1]?.message).toContain('Twin');
    const error = await failure(adopt.run(plan));
    expect(error.code).toBe('TNT_PLAN_INVALID');
    expect(error.message).toContain('Twin');
    await shop.db.query('drop index staff_name_key');
  });

  test('a root with duplicate keys', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { file } = await adopt.plan({ root: 'public.shops' });
    const text = file.replace(
      /\nroot:\n(?:[ #].*\n)+/,
      `\nroot:\n  query: select currency as key, name as name from public.shops\n  keys:\n    public.shops: [currency]\n`,
    );
    const error = await failure(
      (async () => {
        const { plan } = await adopt.plan(text);
        await adopt.run(plan);
      })(),
    );
    expect(error.code).toBe('TNT_ADOPT_ROOT_KEYS');
    expect(error.message).toContain('EUR');
  });

  test('a reference to a type of rows that is unknown', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { file } = await adopt.plan({ root: 'public.shops' });
    const text = `${file}\nreferences:\n  - from: "public.payments(method, order_id)"\n    to: { Parcel: "public.parcels(id)" }\n`;
    const error = await failure(adopt.plan(text));
    expect(error).toMatchObject({ code: 'TNT_PLAN_INVALID', details: { line: expect.any(Number) as number } });
    expect(error.message).toContain('public.parcels');
  });

  test('an index of the plan’s name that is somebody else’s is named, never dropped and never taken for ours', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const name = 'customers_tenant_id_idx';
    await shop.db.query('create index customers_tenant_id_idx on customers (city)');
    const refused = await failure(adopt.run(plan));
    expect(refused.code).toBe('TNT_PLAN_INVALID');
    expect(refused.message).toContain(name);
    // and when it comes while the adoption runs
    await shop.db.query('drop index customers_tenant_id_idx');
    await adopt.run(plan, { to: 'verify' });
    await shop.db.query('create index customers_tenant_id_idx on customers (city)');
    const error = await failure(adopt.run(null, { to: 'tighten' }));
    expect(error.code).toBe('TNT_PLAN_DRIFTED');
    expect(error.message).toContain(name);
    expect(error.hint).toContain('tenantry adopt run');
    await adopt.undo();
    expect(await shop.db.query(`select indexdef from pg_indexes where indexname = 'customers_tenant_id_idx'`)).toEqual([
      { indexdef: 'CREATE INDEX customers_tenant_id_idx ON public.customers USING btree (city)' },
    ]);
    await shop.db.query('drop index customers_tenant_id_idx');
  });

  test('an index whose making was killed in the middle is found invalid, and made again', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'verify' });
    const holder = new pg.Client({ connectionString: shop.shopUrl });
    await holder.connect();
    await holder.query('begin; update customers set city = city where id = 1');
    const doomed = new pg.Pool({ connectionString: shop.db.adminUrl, max: 6, application_name: 'doomed' });
    doomed.on('error', () => {});
    const running = failure(createAdopt({ adminPool: doomed }).run(null, { to: 'tighten' }));
    for (let killed = 0; killed === 0; ) {
      const rows = await shop.db.query<{ pid: number }>(
        `select pg_terminate_backend(pid) as done from pg_stat_activity
         where application_name = 'doomed' and query ~ '^create index concurrently .*customers' and wait_event_type = 'Lock'`,
      );
      killed = rows.length;
    }
    expect((await running).code).toBe('TNT_SERVER_UNREACHABLE');
    await doomed.end();
    await holder.query('commit');
    await holder.end();
    const invalid = 'select x.indexrelid::regclass::text as index from pg_index x where not x.indisvalid';
    expect(await shop.db.query(invalid)).toEqual([{ index: 'customers_tenant_id_idx' }]);
    expect((await adopt.run(null, { to: 'tighten' })).phase).toBe('tighten');
    expect(await shop.db.query(invalid)).toEqual([]);
  });
});
