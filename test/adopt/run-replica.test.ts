import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt } from '../../src/adopt/index.ts';
import { createSampleShop } from '../../src/adopt/sample/index.ts';
import { serverAccount } from '../../src/database/embedded/account.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/database/embedded/server.ts';
import { migrateUp } from '../../src/database/migrate.ts';
import type { TenantryError } from '../../src/errors.ts';
import { startTenantry, tenantry } from '../support/command-line.ts';
import { countWrongTenants } from './support/wrong-tenants.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

// The embedded package has no pg_basebackup: a primary and its streaming replica need the system's PostgreSQL.
const bin = '/usr/lib/postgresql/15/bin';
const available = existsSync(`${bin}/pg_basebackup`);
if (!available) console.log(`replica: skipped; it needs ${bin}/pg_basebackup`);

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

describe.skipIf(!available)('a streaming replica', () => {
  let primary: EmbeddedServer;
  let replica: { url: string; stop(): Promise<void> };
  let pool: pg.Pool;
  let superuser: pg.Pool;
  let onReplica: pg.Pool;
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-replica-'));

  beforeAll(async () => {
    primary = await startEmbedded({
      folder,
      binaries: bin,
      settings: { fsync: 'off', shared_buffers: '64MB', wal_level: 'replica', wal_receiver_status_interval: '1s' },
    });
    superuser = new pg.Pool({ connectionString: primary.superuserUrl, max: 2 });
    await superuser.query(`create role tenantry_admin login createrole createdb password 'replica'`);
    await superuser.query('create database shop owner tenantry_admin');
    replica = await startReplica(primary);
    onReplica = new pg.Pool({ connectionString: replica.url, max: 1 });
    const url = new URL(primary.superuserUrl);
    Object.assign(url, { username: 'tenantry_admin', password: 'replica', pathname: '/shop' });
    pool = new pg.Pool({ connectionString: url.href, max: 8 });
    for (const each of [pool, superuser, onReplica]) each.on('error', () => {});
    await migrateUp(pool);
    const owner = await pool.connect();
    await createSampleShop(owner, { rows: 3000 });
    owner.release();
  });
  afterAll(async () => {
    await Promise.all([pool.end(), superuser.end(), onReplica.end()]);
    await replica.stop();
    await primary.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(primary.folder, { recursive: true, force: true });
  });

  /** A second server that follows the first one, as the same unprivileged account. */
  async function startReplica({ superuserUrl }: EmbeddedServer): Promise<typeof replica> {
    const account = serverAccount();
    const place = mkdtempSync(join(tmpdir(), 'tenantry-standby-'));
    const ids = account.uid === undefined ? {} : { uid: account.uid, gid: account.gid };
    if (account.uid !== undefined && account.gid !== undefined) chownSync(place, account.uid, account.gid);
    chmodSync(place, 0o700);
    const data = join(place, 'data');
    const url = new URL(superuserUrl);
    const copied = spawnSync(
      `${bin}/pg_basebackup`,
      ['-D', data, '-R', '-c', 'fast', '-X', 'stream', '-h', url.hostname, '-p', url.port, '-U', url.username],
      { cwd: '/', env: { ...process.env, PGPASSWORD: url.password, PGAPPNAME: 'standby' }, ...ids },
    );
    if (copied.status !== 0) throw new Error(String(copied.stderr));
    const port = await freePort();
    const child = spawn(
      `${bin}/postgres`,
      [
        '-D',
        data,
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'unix_socket_directories=',
        '-c',
        'shared_buffers=64MB',
        '-c',
        'fsync=off',
        '-c',
        'wal_receiver_status_interval=1s',
      ],
      { stdio: 'ignore', cwd: '/', ...ids },
    );
    url.port = String(port);
    for (let tries = 0; ; tries += 1) {
      const client = new pg.Client({ connectionString: url.href });
      client.on('error', () => {});
      try {
        await client.connect();
        break;
      } catch (error) {
        if (tries > 300) throw error;
        await sleep(50);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
    return {
      url: url.href,
      async stop() {
        const exited = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGINT');
        await exited;
        rmSync(place, { recursive: true, force: true });
      },
    };
  }

  const caughtUp = async (): Promise<void> => {
    for (let tries = 0; tries < 200; tries += 1) {
      const { rows } = await superuser.query<{ behind: number }>(
        'select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 1e9)::float8 as behind from pg_stat_replication',
      );
      if ((rows[0]?.behind ?? 1) === 0) return;
      await sleep(50);
    }
    throw new Error('the replica did not catch up');
  };

  test('without the right to see how far it is behind, one line says so and the run goes on', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const warnings: string[] = [];
    const waits: AdoptEvent[] = [];
    await onReplica.query('select pg_wal_replay_pause()');
    await adopt.run(plan, {
      to: 'backfill',
      maxLag: { bytes: 1 },
      onEvent(event) {
        if (event.type === 'warning') warnings.push(event.message);
        if (event.type === 'waiting') waits.push(event);
      },
    });
    await onReplica.query('select pg_wal_replay_resume()');
    expect(warnings.filter((message) => message.includes('replica'))).toEqual([
      'this login may not see how far replicas are behind, so they are not waited for: grant pg_monitor to it',
    ]);
    expect(waits).toEqual([]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test.each([
    ['bytes', { bytes: 64 * 1024 }],
    ['time', { seconds: 0.2 }],
  ])(
    'the backfill waits while its replay stands still, by %s, and goes on when it has caught up',
    async (_, maxLag) => {
      await superuser.query('grant pg_monitor to tenantry_admin');
      await caughtUp();
      const adopt = createAdopt({ adminPool: pool });
      const { plan } = await adopt.plan({ root: 'public.shops' });
      await adopt.run(plan, { to: 'expand' });
      await caughtUp();
      const events: Extract<AdoptEvent, { type: 'waiting' }>[] = [];
      const filled: number[] = [];
      const count = async (): Promise<number> => {
        const { rows } = await pool.query<{ n: number }>(
          `select sum(rows)::int as n from tenantry.adoption_progress where phase = 'backfill'`,
        );
        return rows[0]?.n ?? 0;
      };
      await onReplica.query('select pg_wal_replay_pause()');
      const result = await adopt.run(null, {
        to: 'backfill',
        maxLag,
        throttle: () => 20,
        onEvent: async (event) => {
          if (event.type !== 'waiting') return;
          events.push(event);
          if (event.over === true) return;
          // it stands: nothing is filled while the replica is behind
          await sleep(300);
          filled.push(await count());
          await sleep(600);
          filled.push(await count());
          await onReplica.query('select pg_wal_replay_resume()');
        },
      });
      expect(result.phase).toBe('backfill');
      // once for the replay that stands; a fast backfill may run ahead of it again, and waits again
      expect(events.length).toBeGreaterThanOrEqual(2);
      expect(events.map(({ reason, over }) => [reason, over ?? false])).toEqual(
        events.map((_event, i) => ['replica', i % 2 === 1]),
      );
      expect(events[0]?.message).toMatch(/^waits for replicas: \S+ at 127\.0\.0\.1 is [\d.]+ s and [\d.]+ MB behind$/);
      expect(filled[0]).toBe(filled[1]);
      expect(filled[1]).toBeLessThan(await count());
      expect(await countWrongTenants(pool)).toEqual({});
      expect((await adopt.undo()).differences).toEqual([]);
    },
  );

  test('--max-lag of the command is what its run waits by', async () => {
    await superuser.query('grant pg_monitor to tenantry_admin');
    const place = new URL(primary.superuserUrl);
    Object.assign(place, { username: 'tenantry_admin', password: 'replica', pathname: '/shop' });
    const file = join(folder, 'plan.yaml');
    const before = { ...process.env };
    Object.assign(process.env, { DATABASE_URL: place.href, TENANTRY_ADMIN_URL: place.href });
    try {
      const run = ['adopt', 'run', '--file', file];
      expect((await tenantry(['adopt', 'plan', '--root', 'public.shops', '--file', file])).code).toBe(0);
      expect((await tenantry([...run, '--to', 'expand', '--max-lag', 'off'])).code).toBe(0);
      await caughtUp();
      await onReplica.query('select pg_wal_replay_pause()');
      // slow enough that it looks before it has filled all of them
      const { ended, said, saying } = startTenantry([
        ...run,
        '--to',
        'backfill',
        '--max-lag',
        '16kB',
        '--max-rate',
        '1000',
      ]);
      await saying('waits for replicas: ');
      await onReplica.query('select pg_wal_replay_resume()');
      expect([await ended, said()]).toEqual([0, expect.stringContaining('goes on')]);
      expect(await countWrongTenants(pool)).toEqual({});
      expect((await tenantry(['adopt', 'undo', '--yes'])).code).toBe(0);
    } finally {
      await onReplica.query('select pg_wal_replay_resume()').catch(() => undefined);
      process.env = before;
    }
  });

  test('the replica itself is refused: nothing can be adopted there', async () => {
    const url = new URL(replica.url);
    Object.assign(url, { username: 'tenantry_admin', password: 'replica', pathname: '/shop' });
    await caughtUp();
    const readOnly = new pg.Pool({ connectionString: url.href, max: 6 });
    readOnly.on('error', () => {});
    const adopt = createAdopt({ adminPool: readOnly });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const error = await adopt.run(plan).then(
      () => undefined,
      (refused: TenantryError) => refused,
    );
    await readOnly.end();
    expect(error).toMatchObject({ code: 'TNT_PRIVILEGE_MISSING', hint: 'Connect to the primary server.' });
    expect(error?.message).toContain('read-only');
  });
});
