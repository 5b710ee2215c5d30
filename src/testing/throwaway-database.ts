import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sqlStateOf, translateDatabaseError } from '../database/database-error.ts';
import { type EmbeddedServer, startEmbedded } from '../database/embedded/server.ts';
import { ensureLogin } from '../database/logins.ts';
import { migrateUp } from '../database/migrate.ts';
import { ident } from '../database/sql.ts';
import { createPool, type TenantPool } from '../pool/index.ts';

export interface ThrowawayOptions {
  /**
   * A login that may create databases and roles. Defaults to `TEST_DATABASE_URL`, then `DATABASE_URL`, then an embedded
   * PostgreSQL that the first database of the process starts and the last one stops.
   */
  readonly url?: string;
  /** Schema of Tenantry's tables. Defaults to `tenantry`. */
  readonly schema?: string;
}

/** A migrated database of a test's own. */
export interface ThrowawayDatabase {
  readonly name: string;
  /** For the application: a plain member of tenantry_app. */
  readonly appUrl: string;
  /** For migrations and seeds: the owner of the database. */
  readonly adminUrl: string;
  /** Connections of the application's login that carry the context. */
  readonly pool: TenantPool;
  /** Connections of the owner: sees every tenant. */
  readonly admin: pg.Pool;
  /** Ends both pools and drops database and login. */
  drop(): Promise<void>;
}

/**
 * Makes a database, migrates it and opens both pools. Call `drop()` when the tests have ended.
 *
 * @throws TNT_SERVER_UNREACHABLE, TNT_PRIVILEGE_MISSING, TNT_EMBEDDED_MISSING
 * @example
 * ```ts
 * import { createThrowawayDatabase } from 'tenantry/testing';
 *
 * const database = await createThrowawayDatabase();
 * await database.admin.query('create table notes (id bigint, body text)');
 * await database.drop();
 * ```
 */
export async function createThrowawayDatabase(options: ThrowawayOptions = {}): Promise<ThrowawayDatabase> {
  const { schema = 'tenantry' } = options;
  const given = options.url ?? process.env['TEST_DATABASE_URL'] ?? process.env['DATABASE_URL'];
  const server = given === undefined ? await borrowServer() : undefined;
  const maintenanceUrl = given ?? server?.superuserUrl ?? '';
  const id = randomBytes(6).toString('hex');
  const name = `tenantry_throwaway_${id}`;
  const login = {
    name: `tenantry_app_${id}`,
    password: randomBytes(18).toString('hex'),
    group: 'tenantry_app',
  } as const;
  const adminUrl = urlOf(maintenanceUrl, name);
  const cleanUp = async (): Promise<void> => {
    try {
      await once(maintenanceUrl, [
        `drop database if exists ${ident(name)} with (force)`,
        `drop role if exists ${ident(login.name)}`,
      ]);
    } finally {
      if (server !== undefined) await returnServer();
    }
  };
  try {
    await once(maintenanceUrl, [`create database ${ident(name)}`]);
    const admin = quietPool(adminUrl);
    try {
      await migrateUp(admin, { schema });
      await ensureLogin(admin, login);
    } catch (error) {
      await admin.end();
      throw error;
    }
    const appUrl = urlOf(maintenanceUrl, name, login);
    const pool = createPool({ connectionString: appUrl });
    pool.on('error', () => {}); // drop() ends the backends of idle connections
    return {
      name,
      appUrl,
      adminUrl,
      pool,
      admin,
      async drop() {
        await Promise.all([pool.end(), admin.end()]);
        await cleanUp();
      },
    };
  } catch (error) {
    await cleanUp().catch(() => {}); // the first error says more
    throw translateDatabaseError(error);
  }
}

let borrowed: { users: number; server: Promise<EmbeddedServer> } | undefined;

async function borrowServer(): Promise<EmbeddedServer> {
  borrowed ??= { users: 0, server: startEmbedded({ folder: join(tmpdir(), `tenantry-testing-${process.pid}`) }) };
  borrowed.users += 1;
  return borrowed.server;
}

async function returnServer(): Promise<void> {
  if (borrowed === undefined) return;
  borrowed.users -= 1;
  if (borrowed.users > 0) return;
  const { server } = borrowed;
  borrowed = undefined;
  await (await server).stop();
}

function quietPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString });
  pool.on('error', () => {});
  return pool;
}

function urlOf(base: string, database: string, login?: { name: string; password: string }): string {
  const url = new URL(base);
  url.pathname = `/${database}`;
  if (login !== undefined) {
    url.username = login.name;
    url.password = login.password;
  }
  return url.toString();
}

/** A backend whose client has just left may still hold the database for a moment, and is not ours to end. */
async function patiently(run: () => Promise<unknown>): Promise<void> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      await run();
      return;
    } catch (error) {
      const state = sqlStateOf(error) ?? '';
      if (attempts >= 20 || (state !== '55006' && !(state === '42501' && attempts < 10))) throw error;
      await sleep(50);
    }
  }
}

async function once(connectionString: string, statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => {});
  await client.connect();
  try {
    for (const statement of statements) await patiently(() => client.query(statement));
  } finally {
    await client.end();
  }
}
