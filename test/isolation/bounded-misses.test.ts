import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
let app: Client;

beforeAll(async () => {
  db = await createTestDatabase();
  app = new Client({ connectionString: db.appUrl });
  await app.connect();
});
afterAll(async () => {
  await app.end();
  await db.drop();
});

const record = (misses: object[]) =>
  app.query('select tenantry.record_shadow_misses($1::jsonb)', [JSON.stringify(misses)]);
const miss = (fingerprint: string, more: object = {}) => ({
  table_schema: 'tenantry',
  table_name: 'resources',
  operation: 'select',
  fingerprint,
  rows: 1,
  occurrences: 1,
  ...more,
});

describe('D4 what the application reports as shadow misses is bounded', () => {
  it('nothing is seen in the future, and the same kind twice in one report is added up', async () => {
    await record([miss('f', { last_seen: '3000-01-01' }), miss('f', { status: 'confirmed' })]);
    const [row] = await db.query(
      `select occurrences::int, status, last_seen <= now() as past from tenantry.shadow_misses where fingerprint = 'f'`,
    );
    expect(row).toEqual({ occurrences: 2, status: 'confirmed', past: true });
  });

  it('beyond 20,000 kinds new ones are counted together, and a protected table keeps its name and verdict', async () => {
    await record(Array.from({ length: 20_000 }, (_, i) => miss(`many ${i}`)));
    await record(
      Array.from({ length: 100 }, (_, i) => miss(`more ${i}`, { table_schema: 'made', table_name: `up_${i}` })),
    );
    await record([miss('late', { status: 'confirmed' }), miss('many 7')]);
    const rows = await db.query(
      `select table_name, status, occurrences::int from tenantry.shadow_misses where fingerprint = 'overflow' order by 1`,
    );
    expect(rows).toEqual([
      { table_name: '', status: 'unconfirmed', occurrences: 100 },
      { table_name: 'resources', status: 'confirmed', occurrences: 2 },
    ]);
    const [seven] = await db.query(`select occurrences::int from tenantry.shadow_misses where fingerprint = 'many 7'`);
    expect(seven).toEqual({ occurrences: 2 });
  });
});
