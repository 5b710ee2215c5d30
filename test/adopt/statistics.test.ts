import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/database/embedded/server.ts';
import { migrateUp } from '../../src/database/migrate.ts';

/** A server that keeps query statistics: the shared one of the tests does not. */
let server: EmbeddedServer;
let pool: pg.Pool;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tenantry-statistics-'));
  const system = process.env['TENANTRY_TEST_PG'];
  server = await startEmbedded({
    folder,
    settings: { shared_preload_libraries: 'pg_stat_statements', fsync: 'off' },
    ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
  });
  pool = new pg.Pool({ connectionString: server.superuserUrl, max: 6 });
  pool.on('error', () => {}); // the server is stopped under it
  await migrateUp(pool);
  await pool.query(`
    create table shops (id bigint primary key);
    create table items (id bigint primary key, shop_id bigint not null references shops (id));
    create table quiet (id bigint primary key, shop_id bigint not null references shops (id));`);
});
afterAll(async () => {
  await pool.end();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  rmSync(server.folder, { recursive: true, force: true });
});

test('what the application sends is looked through for what adoption changes under it', async () => {
  const adopt = createAdopt({ adminPool: pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  const codes = async (): Promise<string[]> =>
    (await adopt.preflight(plan))
      .map((finding) => `${finding.code} ${finding.object}`)
      .filter((code) => code.includes('public.'));
  expect((await adopt.preflight(plan)).map((finding) => finding.code)).toContain('no-statistics');
  await pool.query('create extension pg_stat_statements');
  expect(await codes()).toEqual([]);
  await pool.query('select * from items where id = 1');
  await pool.query('insert into shops values (1)');
  await pool.query('insert into items values (1, 1) on conflict (id) do nothing');
  await pool.query('truncate items');
  await pool.query("copy items from program 'true'");
  expect((await codes()).sort()).toEqual([
    'copy-from public.items',
    'on-conflict public.items',
    'select-star public.items',
    'truncate public.items',
  ]);
});

test('the log of a second stays below --max-wal', async () => {
  await pool.query(
    'insert into shops values (1) on conflict do nothing; insert into quiet select n, 1 from generate_series(1, 40000) n',
  );
  const adopt = createAdopt({ adminPool: pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  await adopt.run(plan, { to: 'expand', force: true });
  const written = async (): Promise<number> =>
    (await pool.query<{ lsn: number }>(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as lsn`)).rows[0]!
      .lsn;
  const before = await written();
  const maxWal = 2 ** 20;
  const { seconds } = await adopt.run(null, { to: 'backfill', maxWal });
  const log = (await written()) - before;
  expect(log).toBeGreaterThan(2 * maxWal);
  // it looks four times in a second, and the last look is not waited for
  expect(seconds).toBeGreaterThan((log / maxWal) * 0.5);
  await adopt.undo();
  await pool.query('truncate quiet; delete from shops');
});
