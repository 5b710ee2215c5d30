import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EmbeddedServer, startEmbedded } from '../../src/database/embedded/server.ts';
import { withStartLock } from '../../src/database/embedded/start-lock.ts';
import { isAlive, readServerState } from '../../src/database/embedded/state.ts';
import { openEmbedded } from '../../src/database/open.ts';
import { throwawaySettings } from '../support/server.ts';

const settings = { ...throwawaySettings, shared_buffers: '16MB', synchronous_commit: 'on' };
let folder: string;
const servers: EmbeddedServer[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenantry-embedded-')); // mode 0700: as root, the server's account cannot walk into it
});
afterEach(async () => {
  const used = servers.splice(0);
  for (const server of used) await server.stop();
  for (const server of used) rmSync(server.folder, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});
const start = async (options: Parameters<typeof startEmbedded>[0] = {}): Promise<EmbeddedServer> => {
  const server = await startEmbedded({ folder, settings, ...options });
  servers.push(server);
  return server;
};
const ask = async (url: string, text: string): Promise<unknown> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: 'array' })).rows[0]?.[0];
  } finally {
    await client.end();
  }
};
const pidOf = (server: EmbeddedServer): number => readServerState(server.folder)!.pid;

describe('embedded server', () => {
  it('starts, stops cleanly, and keeps its data for the second start', async () => {
    const first = await start();
    await ask(first.superuserUrl, 'create table kept as select 42 as answer');
    const pid = pidOf(first);
    await first.stop();
    expect(isAlive(pid)).toBe(false);
    const second = await start();
    expect(await ask(second.superuserUrl, 'select answer from kept')).toBe(42);
    expect(readFileSync(join(second.folder, 'postgres.log'), 'utf8')).toContain('database system is shut down');
  });

  it('is joined, not started twice, by whoever comes second; who leaves last stops it', async () => {
    const [a, b, c] = await Promise.all([start(), start(), start()]);
    expect(new Set([a.port, b.port, c.port]).size).toBe(1);
    const pid = pidOf(a);
    await Promise.all([a.stop(), c.stop()]);
    expect(await ask(b.superuserUrl, 'select 1')).toBe(1);
    await b.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('is there for each of many processes that come and go at once', async () => {
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const server = await start();
        for (let asked = 0; asked <= i % 4; asked += 1) expect(await ask(server.superuserUrl, 'select 1')).toBe(1);
        await server.stop();
      }),
    );
    expect(existsSync(join(servers[0]!.folder, 'server.json'))).toBe(false);
  });

  it('heals after kill -9 of the server, also when its process id belongs to another process by now', async () => {
    const first = await start();
    await ask(first.superuserUrl, 'create table kept as select 42 as answer');
    const pid = pidOf(first);
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await new Promise((done) => setTimeout(done, 20));
    const lock = join(first.folder, 'data', 'postmaster.pid');
    expect(existsSync(lock)).toBe(true);
    writeFileSync(lock, readFileSync(lock, 'utf8').replace(/^\d+/, String(process.ppid)));
    const second = await start();
    expect(await ask(second.superuserUrl, 'select answer from kept')).toBe(42);
  });

  it('does not wait for users that were killed, and is not stopped while one lives', async () => {
    const first = await start();
    const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
    const state = readServerState(first.folder)!;
    writeFileSync(join(first.folder, 'server.json'), JSON.stringify({ ...state, users: [`${sleeper.pid}.1`] }));
    const second = await startEmbedded({ folder, settings });
    await second.stop();
    expect(isAlive(state.pid)).toBe(true);
    sleeper.kill('SIGKILL');
    await new Promise((done) => sleeper.once('exit', done));
    const heir = await startEmbedded({ folder, settings });
    expect(heir.port).toBe(first.port);
    await heir.stop();
    expect(isAlive(state.pid)).toBe(false);
  });

  it('is started by one at a time, also after a starter that was killed, whatever it left there', async () => {
    const sleeper = spawn('true', { stdio: 'ignore' });
    await new Promise((done) => sleeper.once('exit', done));
    for (const left of [String(sleeper.pid), '', undefined]) {
      if (left !== undefined) writeFileSync(join(folder, 'starting'), left);
      let inside = 0;
      await Promise.all(
        Array.from({ length: 8 }, () =>
          withStartLock(folder, async () => {
            inside += 1;
            await new Promise((done) => setTimeout(done, 5));
            expect(inside).toBe(1);
            inside -= 1;
          }),
        ),
      );
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('starts again where an initdb was killed half-way', async () => {
    const first = await start();
    await first.stop();
    rmSync(join(first.folder, 'data', 'PG_VERSION'));
    const again = await start();
    expect(await ask(again.superuserUrl, 'select 1')).toBe(1);
  });

  it('names a port that is in use', async () => {
    const blocker: Server = createServer();
    const port = await new Promise<number>((done) => {
      blocker.listen(0, '127.0.0.1', () => done((blocker.address() as { port: number }).port));
    });
    await expect(startEmbedded({ folder, settings, port })).rejects.toMatchObject({ code: 'TNT_PORT_IN_USE' });
    await new Promise((done) => blocker.close(done));
    const server = await start({ port });
    expect(server.port).toBe(port);
  });

  it('keeps the password out of sight', async () => {
    const server = await start();
    expect(await ask(server.superuserUrl, `select current_setting('password_encryption')`)).toBe('scram-sha-256');
    const password = decodeURIComponent(new URL(server.superuserUrl).password);
    expect(readFileSync(join(server.folder, 'postgres.log'), 'utf8')).not.toContain(password);
    expect(readFileSync(`/proc/${pidOf(server)}/cmdline`, 'utf8')).not.toContain(password);
  });
});

describe('the default database', () => {
  it('has an admin that is no superuser, a runtime login and an operator; opening it again changes nothing', async () => {
    const database = await openEmbedded({ folder, settings });
    servers.push(database.server);
    expect(await ask(database.adminUrl, 'select rolsuper from pg_roles where rolname = current_user')).toBe(false);
    expect(await ask(database.appUrl, `select pg_has_role('tenantry_owner', 'member')`)).toBe(false);
    expect(await ask(database.operatorUrl, `select pg_has_role('tenantry_owner', 'member')`)).toBe(true);
    await expect(ask(database.appUrl, 'create table tenantry.mine ()')).rejects.toMatchObject({ code: '42501' });
    const again = await openEmbedded({ folder, settings });
    servers.push(again.server);
    expect(again.appUrl).toBe(database.appUrl);
  });
});
