import pg from 'pg';
import { type Adopt, createAdopt } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

/** A database with one schema, and what a test of decisions does with it. */
export interface Subject {
  readonly db: TestDatabase;
  readonly pool: pg.Pool;
  readonly adopt: Adopt;
  /** A connection of the runtime role, as the tenant of a root key. */
  as(key: string): Promise<pg.Client>;
  drop(): Promise<void>;
}

export async function createSubject(schema: string): Promise<Subject> {
  const db = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(schema);
  const open: pg.Client[] = [];
  return {
    db,
    pool,
    adopt: createAdopt({ adminPool: pool }),
    async as(key) {
      const client = new pg.Client({ connectionString: db.appUrl });
      await client.connect();
      open.push(client);
      const [organization] = await db.query<{ id: string }>('select id from tenantry.organizations where key = $1', [
        key,
      ]);
      await client.query("select set_config('app.tenant_id', $1, false)", [organization!.id]);
      return client;
    },
    async drop() {
      for (const client of open) await client.end();
      await pool.end();
      await db.drop();
    },
  };
}

/** Every table's rows in order, as one text. */
export async function contents(db: TestDatabase, tables: readonly string[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const table of tables) {
    const [row] = await db.query<{ text: string }>(
      `select coalesce(string_agg(t::text, E'\\n' order by t::text), '') as text from ${table} t`,
    );
    found[table] = row!.text;
  }
  return found;
}

/** What somebody gets who tries. */
export async function answer(client: { query(text: string): Promise<unknown> }, text: string): Promise<string> {
  return client.query(text).then(
    () => 'done',
    (error: unknown) => `${(error as pg.DatabaseError).code} ${(error as Error).message}`,
  );
}

/** `{ '1': 'one', … }`: the key of the organization of every row of a table. */
export async function tenantsOf(db: TestDatabase, table: string, key = 'id'): Promise<Record<string, string | null>> {
  const rows = await db.query<{ id: string; tenant: string | null }>(
    `select t.${key}::text as id, o.key as tenant from ${table} t left join tenantry.organizations o on o.id = t.tenant_id order by t.${key}`,
  );
  return Object.fromEntries(rows.map((row) => [row.id, row.tenant]));
}
