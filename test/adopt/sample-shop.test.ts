import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSampleShop, fixedQuery, leakyQuery, readOrder } from '../../src/adopt/sample/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
let again: TestDatabase;
beforeAll(async () => {
  [db, again] = await Promise.all([createTestDatabase(), createTestDatabase()]);
});
afterAll(async () => {
  await Promise.all([db.drop(), again.drop()]);
});

test('the sample shop has at least the rows asked for, and the same ones for the same seed', async () => {
  const first = await createSampleShop(db.admin, { rows: 2000, seed: 7 });
  const second = await createSampleShop(again.admin, { rows: 2000, seed: 7 });
  expect(first.rows).toBeGreaterThanOrEqual(2000);
  expect(second).toEqual(first);
  expect(await db.query('select 1 from shops group by name having count(*) > 1')).toEqual([]);
  for (const table of Object.keys(first.byTable)) {
    const digest = `select md5(string_agg(t::text, '|' order by t::text)) as digest from ${table} t`;
    expect(await again.query(digest), table).toEqual(await db.query(digest));
  }
});

test('the planted report answers with every shop’s refunds, and the fixed one with one shop’s', async () => {
  const leaked = await leakyQuery(db.admin, '1');
  expect(new Set(leaked.map((row) => row.shop_id)).size).toBeGreaterThan(1);
  const fixed = await fixedQuery(db.admin, '1');
  expect(new Set(fixed.map((row) => row.shop_id))).toEqual(new Set(['1']));
  expect(await readOrder(db.admin, leaked[0]!.id)).toEqual([leaked[0]]);
});
