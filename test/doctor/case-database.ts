import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createDoctor, type DoctorOptions, type DoctorReport } from '../../src/isolation/doctor/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** A database with an application's login of its own, whose attributes and memberships a test may spoil. */
export interface CaseDatabase {
  readonly database: TestDatabase;
  readonly login: string;
  /** Replaces the placeholders of a case, quoted as SQL needs them. */
  sql(text: string): string;
  /** The same for keys: plain text. */
  plain(text: string): string;
  run(text: string, as?: 'admin' | 'superuser'): Promise<void>;
  /** Opens the application's connection anew, so that the login's settings count, and examines the database over it. */
  examine(options?: Partial<DoctorOptions>): Promise<DoctorReport>;
  drop(): Promise<void>;
}

/** Mixed case and a space, on purpose. */
export async function createCaseDatabase(): Promise<CaseDatabase> {
  const database = await createTestDatabase();
  const suffix = randomBytes(4).toString('hex');
  const login = `Doctor App ${suffix}`;
  const superuser = new pg.Pool({ connectionString: database.superuserUrl, max: 1 });
  superuser.on('error', () => {});
  await superuser.query(`create role "${login}" login password '${suffix}'; grant tenantry_app to "${login}"`);
  const url = new URL(database.appUrl);
  url.username = encodeURIComponent(login);
  url.password = suffix;
  const fill = (text: string, quoted: string): string =>
    text.replaceAll(':login', quoted).replaceAll(':database', database.name).replaceAll(':suffix', suffix);
  return {
    database,
    login,
    sql: (text) => fill(text, `"${login}"`),
    plain: (text) => fill(text, login),
    async run(text, as = 'admin') {
      await (as === 'admin' ? database.admin : superuser).query(fill(text, `"${login}"`));
    },
    async examine(options = {}) {
      const app = new pg.Pool({ connectionString: url.toString(), max: 2 });
      try {
        return await createDoctor({ app, admin: database.admin, ...options }).run();
      } finally {
        await app.end();
      }
    },
    async drop() {
      await superuser.query(`drop owned by "${login}"; drop role "${login}"`).catch(() => undefined);
      await superuser.end();
      await database.drop();
    },
  };
}
