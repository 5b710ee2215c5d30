import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbedded } from '../../src/database/embedded/server.ts';
import { ensureLogin } from '../../src/database/logins.ts';
import { migrateUp } from '../../src/database/migrate.ts';
import { quickVerifier } from './scram.ts';

const packages = fileURLToPath(new URL('../../node_modules/', import.meta.url));

/** What tests know of the server that a run shares. */
export interface TestServer {
  /** `postgresql://tenantry_admin:…@host:port`: without a database. */
  readonly adminBase: string;
  readonly appBase: string;
  readonly operatorBase: string;
  /** Superuser, for what only the environment can do (crashes, settings). */
  readonly superuserBase: string;
  readonly template: string;
  /** Where the run's compiled sources go, for tests that need a process of its own. */
  readonly compiled: string;
  readonly version: number;
}

/** Settings of a server whose data nobody will miss. */
export const throwawaySettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '256MB',
  max_connections: '200',
  autovacuum_naptime: '5s',
  max_prepared_transactions: '10',
  wal_level: 'logical',
};

const appLogin = 'Tenantry_Test_App';
const withLogin = (base: string, user: string, password: string): string => {
  const url = new URL(base);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  url.pathname = '';
  return url.toString().replace(/\/$/, '');
};

/**
 * The server of a test run: `TEST_DATABASE_URL` (a superuser's, on a server for tests), the system's PostgreSQL
 * (`TENANTRY_TEST_PG=15`), or the embedded one.
 */
export async function startTestServer(): Promise<{ server: TestServer; stop: () => Promise<void> }> {
  const given = process.env['TEST_DATABASE_URL'];
  const system = process.env['TENANTRY_TEST_PG'];
  let superuserUrl = given;
  let stopServer = async (): Promise<void> => {};
  if (superuserUrl === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'tenantry-test-'));
    const embedded = await startEmbedded({
      folder,
      settings: throwawaySettings,
      ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
    });
    superuserUrl = embedded.superuserUrl;
    stopServer = async () => {
      await embedded.stop();
      rmSync(folder, { recursive: true, force: true });
      rmSync(embedded.folder, { recursive: true, force: true });
    };
  }

  const password = randomBytes(12).toString('hex');
  const base = withLogin(
    superuserUrl,
    new URL(superuserUrl).username,
    decodeURIComponent(new URL(superuserUrl).password),
  );
  const root = new pg.Client({ connectionString: superuserUrl });
  await root.connect();
  await root.query(
    `do $$ begin create role tenantry_admin; exception when duplicate_object or unique_violation then null; end $$`,
  );
  await root.query(`alter role tenantry_admin login createrole createdb nosuperuser password '${password}'`);
  // On 16 and later only a role's creator may grant it: the one who may create roles here is not a superuser.
  for (const role of ['tenantry_owner', 'tenantry_app', 'tenantry_operator', appLogin, 'tenantry_test_operator']) {
    await root.query(
      `do $$ begin if exists (select from pg_roles where rolname = '${role}') then grant "${role}" to tenantry_admin with admin option; end if; end $$`,
    );
  }
  const { rows } = await root.query<{ v: number }>("select current_setting('server_version_num')::int as v");
  const adminBase = withLogin(base, 'tenantry_admin', password);
  const template = `tenantry_template_${randomBytes(4).toString('hex')}`;
  await root.query(`create database ${template} owner tenantry_admin`);
  await root.end();

  const pool = new pg.Pool({ connectionString: `${adminBase}/${template}`, max: 1 });
  await migrateUp(pool);
  await ensureLogin(pool, { name: appLogin, password, group: 'tenantry_app' });
  await ensureLogin(pool, { name: 'tenantry_test_operator', password, group: 'tenantry_operator' });
  for (const login of ['tenantry_admin', appLogin, 'tenantry_test_operator'])
    await pool.query(`alter role "${login}" password '${quickVerifier(password)}'`);
  await pool.end();

  const compiled = `${packages}.tenantry-compiled-${randomBytes(4).toString('hex')}`;
  return {
    server: {
      adminBase,
      appBase: withLogin(base, appLogin, password),
      operatorBase: withLogin(base, 'tenantry_test_operator', password),
      superuserBase: base,
      template,
      compiled,
      version: Math.floor((rows[0]?.v ?? 0) / 10_000),
    },
    async stop() {
      if (given !== undefined) {
        const last = new pg.Client({ connectionString: superuserUrl });
        await last.connect();
        await last.query(`drop database if exists ${template} with (force)`);
        await last.end();
      }
      await stopServer();
      rmSync(compiled, { recursive: true, force: true });
    },
  };
}
