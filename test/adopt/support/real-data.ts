import pg from 'pg';
import { sharedData } from '../../support/data.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { loadSql } from '../../support/load-sql.ts';
import { analyzeHost } from './analyze.ts';

/** A database that nobody here wrote, from files of the shared data, as tenantry_admin's. */
export async function loadRealData(...files: readonly string[]): Promise<{ db: TestDatabase; pool: pg.Pool }> {
  const db = await createTestDatabase();
  const client = new pg.Client({ connectionString: db.adminUrl });
  await client.connect();
  for (const file of files) await loadSql(client, sharedData(file)!);
  await client.query('set search_path to default');
  await analyzeHost(client);
  await client.end();
  return { db, pool: new pg.Pool({ connectionString: db.adminUrl, max: 6 }) };
}

/** Number and content of each table's rows, in whatever order they stand. */
export async function digest(db: pg.Pool, tables: readonly string[]): Promise<Record<string, { rows: number }>> {
  const digests: Record<string, { rows: number }> = {};
  for (const table of tables) {
    const { rows } = await db.query<{ rows: number }>(
      `select count(*)::int as rows, md5(string_agg(t::text, '|' order by t::text)) as digest from ${table} t`,
    );
    digests[table] = rows[0]!;
  }
  return digests;
}

export const pagila = 'sql/pagila/pagila.sql';
