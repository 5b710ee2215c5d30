import { createHmac } from 'node:crypto';
import pg from 'pg';
import { translateDatabaseError } from './database-error.ts';
import { type EmbeddedOptions, type EmbeddedServer, startEmbedded } from './embedded/server.ts';
import { ensureLogin } from './logins.ts';
import { migrateUp } from './migrate.ts';
import { ident, literal } from './sql.ts';

/** The three logins of a database: who migrates, who serves requests, who may cross tenants. */
export interface DatabaseUrls {
  readonly adminUrl: string;
  readonly appUrl: string;
  readonly operatorUrl: string | undefined;
}

export interface EmbeddedDatabase extends DatabaseUrls {
  readonly operatorUrl: string;
  readonly server: EmbeddedServer;
  readonly name: string;
}

/**
 * Starts the embedded server and prepares one database on it: an admin that is not a superuser, Tenantry's schema, and
 * one login for the application and one for operators. Safe to repeat.
 */
export async function openEmbedded(
  options: EmbeddedOptions & { database?: string; schema?: string } = {},
): Promise<EmbeddedDatabase> {
  const { database = 'tenantry', schema = 'tenantry', ...serverOptions } = options;
  const server = await startEmbedded(serverOptions);
  try {
    const password = (login: string): string =>
      createHmac('sha256', server.superuserUrl.split(':')[2] ?? '')
        .update(login)
        .digest('base64url');
    const urlFor = (login: string): string =>
      `postgresql://${login}:${password(login)}@127.0.0.1:${server.port}/${database}`;
    const root = new pg.Client({ connectionString: server.superuserUrl });
    await root.connect();
    try {
      // two that change one login at once: "tuple concurrently updated"; the lock ends with the connection
      await root.query(`select pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('tenantry logins', 0))`);
      await root.query(
        `do $$ begin create role tenantry_admin; exception when duplicate_object or unique_violation then null; end $$`,
      );
      await root.query(
        `alter role tenantry_admin login createrole createdb nosuperuser password ${literal(password('tenantry_admin'))}`,
      );
      const { rowCount } = await root.query('select from pg_catalog.pg_database where datname = $1', [database]);
      if (rowCount === 0) await root.query(`create database ${ident(database)} owner tenantry_admin`);
      const admin = new pg.Pool({ connectionString: urlFor('tenantry_admin'), max: 1 });
      admin.on('error', () => {}); // its sockets close after end(): a server that is stopped at once still says so to them
      try {
        await migrateUp(admin, { schema });
        // a temporary table that is left on a pooled connection is read by the next tenant
        await admin.query(`revoke temporary on database ${ident(database)} from public`);
        await ensureLogin(admin, { name: 'app', password: password('app'), group: 'tenantry_app' });
        await ensureLogin(admin, { name: 'operator', password: password('operator'), group: 'tenantry_operator' });
      } finally {
        await admin.end();
      }
    } finally {
      await root.end();
    }
    return {
      server,
      name: database,
      adminUrl: urlFor('tenantry_admin'),
      appUrl: urlFor('app'),
      operatorUrl: urlFor('operator'),
    };
  } catch (error) {
    await server.stop();
    throw translateDatabaseError(error);
  }
}
