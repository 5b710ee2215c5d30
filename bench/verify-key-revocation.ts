import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { startEmbedded } from '../src/database/embedded/server.ts';
import { ensureLogin } from '../src/database/logins.ts';
import { migrateUp } from '../src/database/migrate.ts';
import { createPool } from '../src/pool/index.ts';
import { createTenantry } from '../src/tenantry.ts';
import { openWire, otherProcess } from '../test/keys/processes.ts';
import { benchOptions, finish, machine, printTable, spread } from './frame.ts';

// How long a revoked key is still accepted: here, in other processes, with their listening connection ended, cut without a
// sign, and with the server restarted. Each process asks without pause; what counts is when the last verification began
// that was accepted, after the revoking call had returned.

const options = benchOptions();
const times = Number(process.env['ROUNDS'] ?? (options.quick ? 3 : 10));
const processes = 3;
const root = new URL('../../../', import.meta.url).pathname;
const script = `${root}test/keys/other-process.mjs`;
const sources = `${root}bench/dist/src`;

const folder = mkdtempSync(join(tmpdir(), 'tenantry-revocation-'));
let server = await startEmbedded({ folder });
const { port } = server;
const urlOf = (user: string, name = 'tenantry_revocation'): string => {
  const url = new URL(server.superuserUrl);
  [url.username, url.password, url.pathname] = [user, 'bench', `/${name}`];
  return url.href;
};
try {
  const superuser = new pg.Client({ connectionString: server.superuserUrl });
  superuser.on('error', () => {});
  await superuser.connect();
  await superuser.query(`create role tenantry_admin login createrole createdb password 'bench'`);
  await superuser.query('create database tenantry_revocation owner tenantry_admin');
  await superuser.end();
  const admin = new pg.Pool({ connectionString: urlOf('tenantry_admin'), max: 1 });
  admin.on('error', () => {});
  await migrateUp(admin);
  await ensureLogin(admin, { name: 'bench_app', password: 'bench', group: 'tenantry_app' });
  await admin.query('set role tenantry_owner');
  const { rows } = await admin.query<{ tenantId: string; userId: string }>(
    `with u as (insert into tenantry.users (email) values ('bench@example.com') returning id),
       o as (insert into tenantry.organizations (name, slug, created_by) select 'Bench', 'bench', id from u returning id)
     select o.id as "tenantId", u.id as "userId" from o, u`,
  );
  await admin.end();
  const [owner] = rows as [{ tenantId: string; userId: string }];
  const pepper = randomBytes(48).toString('base64');
  const url = urlOf('bench_app');
  const pool = createPool({ connectionString: url, max: 4 });
  pool.on('error', () => {});
  const t = createTenantry({ pool, keys: { peppers: pepper } });
  const asOwner = <T>(fn: () => Promise<T>): Promise<T> => withTenant(owner, fn);
  const settled = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const { code = '' } = error as { code?: string };
        // the server is coming back
        if (code.startsWith('TNT_KEY')) throw error;
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  };
  const endAll = async (condition: string): Promise<void> => {
    const client = new pg.Client({ connectionString: server.superuserUrl });
    await client.connect();
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tenantry_revocation' and pid <> pg_backend_pid() and ${condition}`,
    );
    await client.end();
  };
  const restart = async (): Promise<void> => {
    await server.stop();
    server = await startEmbedded({ folder, port });
  };

  const measured: Record<string, { others: number[]; here: number[] }> = {};
  const situations: Record<string, { wired?: boolean; before?: () => Promise<void> }> = {
    listening: {},
    'listening connections ended by the server': { before: () => endAll(`query like 'listen%' or query = 'select 1'`) },
    'server restarted': { before: restart },
    'listening connections cut without a sign': { wired: true },
  };
  for (const [name, { wired = false, before }] of Object.entries(situations)) {
    const seen = (measured[name] = { others: [] as number[], here: [] as number[] });
    const rounds = wired || before === restart ? Math.min(times, 3) : times;
    for (let round = 0; round < rounds; round += 1) {
      const { key, apiKey } = await settled(() => asOwner(() => t.keys.create({ name: 'key' })));
      const wire = wired ? await openWire(url) : undefined;
      const others = Array.from({ length: processes }, () =>
        otherProcess({ folder: sources, url, listenUrl: wire?.url ?? url, pepper, key }, script),
      );
      for (const other of others) await other.until((s) => s.listening && s.accepted > 50);
      await settled(() => t.keys.verify(key));
      wire?.freeze();
      await before?.();
      await settled(() => asOwner(() => t.keys.revoke(apiKey.id)));
      const done = Date.now();
      const here = await t.keys.verify(key).then(
        () => Number.POSITIVE_INFINITY,
        () => 0,
      );
      seen.here.push(here);
      for (const other of others) {
        const { lastAccepted = 0 } = await other.until((s) => s.firstRefused !== undefined);
        seen.others.push(Math.max(0, lastAccepted - done));
      }
      await Promise.all(others.map((other) => other.end()));
      await wire?.close();
    }
  }
  await t.close();
  await pool.end();

  printTable(
    `milliseconds for which a revoked key was still accepted, ${processes} other processes`,
    ['', 'same process', 'others: median', 'most', 'measured'],
    Object.entries(measured).map(([name, { here, others }]) => [
      name,
      String(Math.max(...here)),
      String(spread(others).median),
      String(spread(others).max),
      String(others.length),
    ]),
  );
  const most = (name: string): number => spread(measured[name]?.others ?? []).max;
  finish('verify-key-revocation', options, {
    machine: machine({ version: 'PostgreSQL 18 (embedded)' }),
    lines: {
      'same-process-ms': Math.max(...Object.values(measured).flatMap(({ here }) => here)),
      'listening-ms': most('listening'),
      'ended-ms': most('listening connections ended by the server'),
      'restarted-ms': most('server restarted'),
      'cut-ms': most('listening connections cut without a sign'),
    },
    results: measured,
  });
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
