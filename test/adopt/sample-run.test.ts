import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { createSampleShop } from '../../src/adopt/sample/generate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await createSampleShop(db.admin, { rows: 2000 });
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

describe('the sample shop from inspection to enforcement and back', () => {
  test('E2, E3: every row gets the tenant that its keys say', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { roots } = await adopt.inspect();
    expect(roots[0]?.table).toBe('public.shops');
    const { plan, file, conflicts } = await adopt.plan({ root: 'public.shops' });
    console.log(file, conflicts);
    const result = await adopt.run(plan, {
      onEvent: (e) => {
        if (e.type !== 'lock') console.log(JSON.stringify(e));
      },
    });
    console.log(result, await adopt.verify(), await adopt.status());
    console.log(await adopt.undo());
    console.log(await adopt.status());
  });
});
