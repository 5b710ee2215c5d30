import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { byJoinTable, members, oldMembers, oldTables } from './old-tables.ts';
import { analyzeHost } from '../support/analyze.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(oldTables);
  await analyzeHost(db);
  before = await dumpSchema(db.admin);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

describe('memberships from a join table', () => {
  test('E4: users and memberships are those of the old tables, and undo leaves nothing', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan, file } = await adopt.plan(byJoinTable);
    expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
    await adopt.run(plan, { to: 'verify' });
    expect(await members(db)).toEqual(await oldMembers(db));
    expect((await members(db)).length).toBe(80);
    expect(await adopt.verify()).toEqual([]);
    await adopt.run(null);
    expect(await adopt.verify()).toEqual([]);
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(
      await db.query(
        `select (select count(*)::int from tenantry.users) as users, (select count(*)::int from tenantry.organizations) as organizations,
           (select count(*)::int from tenantry.adoption_user_keys) as keys`,
      ),
    ).toEqual([{ users: 0, organizations: 0, keys: 0 }]);
  });
});
