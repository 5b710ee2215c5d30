import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, it } from 'vitest';
import { type EmbeddedServer, startEmbedded } from '../../src/database/embedded/server.ts';
import { ensureLogin } from '../../src/database/logins.ts';
import { migrateUp } from '../../src/database/migrate.ts';
import { createPool } from '../../src/pool/index.ts';
import { createTenantry } from '../../src/tenantry.ts';
import { compileSources } from '../isolation/compiled.ts';
import { throwawaySettings } from '../support/server.ts';
import { eventually, newCustomer, pepper, refusalOf } from './fixture.ts';
import { openWire, type OtherProcess, otherProcess } from './processes.ts';

/** A server of this test alone, which it may stop. */
async function startOwn(folder: string, port?: number): Promise<EmbeddedServer> {
  const system = process.env['TENANTRY_TEST_PG'];
  return startEmbedded({
    folder,
    settings: throwawaySettings,
    ...(port === undefined ? {} : { port }),
    ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
  });
}

it('C5 a revocation reaches other processes within five seconds after the server was stopped and started again', async () => {
  const { folder: sources } = await compileSources();
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-restart-'));
  let server = await startOwn(folder);
  const others: OtherProcess[] = [];
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const urlOf = (user: string): string =>
      Object.assign(new URL(server.superuserUrl), { username: user, password: 'restart', pathname: '/keys' }).href;
    const root = new pg.Client({ connectionString: server.superuserUrl });
    await root.connect();
    await root.query(`create role tenantry_admin login createrole createdb password 'restart'`);
    await root.query('create database keys owner tenantry_admin');
    await root.end();
    const admin = new pg.Pool({ connectionString: urlOf('tenantry_admin'), max: 1 });
    await migrateUp(admin);
    await ensureLogin(admin, { name: 'keys_app', password: 'restart', group: 'tenantry_app' });
    await admin.end();
    const url = urlOf('keys_app');
    const pool = createPool({ connectionString: url, max: 4 });
    pool.on('error', () => {}); // the server is stopped on purpose
    ends.push(() => pool.end());
    const t = createTenantry({ pool, keys: { peppers: pepper } });
    ends.unshift(() => t.close());
    const a = await newCustomer({ t });
    const { key, apiKey } = await a.asAdmin(() => t.keys.create({ name: 'server' }));
    // one hears again when the server is back, one cannot
    const wire = await openWire(url);
    ends.push(() => wire.close());
    for (const listenUrl of [url, wire.url])
      others.push(otherProcess({ folder: sources, url, listenUrl, pepper, key }));
    for (const other of others) await other.until((seen) => seen.listening && seen.accepted > 20);

    const { port } = server;
    await server.stop();
    wire.freeze();
    server = await startOwn(folder, port);
    await eventually(async () => (await refusalOf(t.keys.verify(key))) === 'accepted');
    await a.asAdmin(() => t.keys.revoke(apiKey.id));
    const done = Date.now();
    expect(await refusalOf(t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    for (const other of others) {
      const { lastAccepted = 0 } = await other.until((seen) => seen.firstRefused !== undefined, 30_000);
      expect(lastAccepted - done).toBeLessThanOrEqual(5_000);
    }
  } finally {
    for (const other of others) await other.end();
    for (const end of ends) await end();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(server.folder, { recursive: true, force: true });
  }
}, 120_000);
