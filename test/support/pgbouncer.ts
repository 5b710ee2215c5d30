import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { serverAccount } from '../../src/database/embedded/account.ts';

export interface PgBouncer {
  /** The given URL, through the pooler. */
  through(url: string): string;
  stop(): Promise<void>;
}

export const hasPgBouncer = spawnSync('pgbouncer', ['--version']).status === 0;

/** PgBouncer in transaction mode with one server connection per login and database. Refuses root, as PostgreSQL does. */
export async function startPgBouncer(url: string): Promise<PgBouncer> {
  const { hostname, port, username, password } = new URL(url);
  const account = serverAccount();
  const folder = mkdtempSync('/tmp/tenantry-pgbouncer-');
  const listenPort = await freePort();
  writeFileSync(join(folder, 'users.txt'), `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`);
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${hostname} port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 1
max_client_conn = 100
`,
  );
  for (const file of ['', 'users.txt', 'pgbouncer.ini']) {
    chmodSync(join(folder, file), file === '' ? 0o700 : 0o600);
    if (account.uid !== undefined && account.gid !== undefined) chownSync(join(folder, file), account.uid, account.gid);
  }
  const process = spawn('pgbouncer', ['-q', join(folder, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...(account.uid === undefined ? {} : { uid: account.uid }),
    ...(account.gid === undefined ? {} : { gid: account.gid }),
  });
  const through = (direct: string): string => {
    const pooled = new URL(direct);
    pooled.hostname = '127.0.0.1';
    pooled.port = String(listenPort);
    return pooled.href;
  };
  await untilItAnswers(through(url));
  return {
    through,
    async stop() {
      const ended = new Promise((resolve) => process.once('exit', resolve));
      process.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
