import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import type { Row } from '../../src/database/sql.ts';

/** One test file's own database on the server of the run. */
export interface TestDatabase {
  readonly name: string;
  /** `tenantry_admin`: CREATEROLE, owner of the database, not a superuser. */
  readonly adminUrl: string;
  /** The application's login: a plain member of tenantry_app, with a mixed-case name. */
  readonly appUrl: string;
  readonly operatorUrl: string;
  readonly superuserUrl: string;
  /** Main version of the server: 15 … 18. */
  readonly version: number;
  readonly admin: pg.Pool;
  /** Runs one statement as tenantry_admin and returns its rows. */
  query<R extends Row = Row>(text: string, values?: unknown[]): Promise<R[]>;
  drop(): Promise<void>;
}

/** Clones the migrated template (or makes an empty database) in about 50 ms. Drop it in `afterAll`. */
export async function createTestDatabase({ migrated = true }: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const server = inject('server');
  const name = `tenantry_test_${randomBytes(6).toString('hex')}`;
  await execute(
    `${server.adminBase}/postgres`,
    // copied as files: half the time of the usual way, which writes every page to the log as well
    migrated
      ? `create database ${name} template ${server.template} strategy file_copy`
      : `create database ${name} strategy file_copy`,
  );
  const adminUrl = `${server.adminBase}/${name}`;
  const admin = new pg.Pool({ connectionString: adminUrl, max: 4 });
  admin.on('error', () => {}); // tests end backends on purpose
  return {
    name,
    adminUrl,
    appUrl: `${server.appBase}/${name}`,
    operatorUrl: `${server.operatorBase}/${name}`,
    superuserUrl: `${server.superuserBase}/${name}`,
    version: server.version,
    admin,
    query: async <R extends Row>(text: string, values?: unknown[]) => (await admin.query<R>(text, values)).rows,
    async drop() {
      await admin.end();
      await execute(`${server.superuserBase}/postgres`, `drop database if exists ${name} with (force)`);
    },
  };
}

/**
 * A template cannot be cloned while another session clones it under a lock: try again. A superuser drops: nobody else may end
 * an autovacuum that is at the database.
 */
async function execute(url: string, statement: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query(statement);
      return;
    } catch (error) {
      if (tries >= 150 || !(error instanceof pg.DatabaseError) || error.code !== '55006') throw error;
      await new Promise((done) => setTimeout(done, 100));
    } finally {
      await client.end();
    }
  }
}
