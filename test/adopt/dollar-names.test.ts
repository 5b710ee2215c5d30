import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** Names that leave each kind of quotes, and would then do something. */
const root = `a"; create table pwned (); --$body$; create table pwned (); --`;
const child = `$body$; create table pwned (); --'; create table pwned (); --`;
const column = `t'"$body$;--`;
const q = (name: string): string => `"${name.replaceAll('"', '""')}"`;
let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.query(`
    create table ${q(root)} (id int primary key, name text);
    create table ${q(child)} (id int primary key, ${q(column)} int not null references ${q(root)});
    insert into ${q(root)} values (1, 'one'), (2, 'two');
    insert into ${q(child)} values (1, 1), (2, 2);`);
});
afterAll(() => db.drop());

test('names of tables and columns that leave their quotes do nothing but name', async () => {
  const adopt = createAdopt({ adminPool: db.admin });
  const { plan } = await adopt.plan({
    root: (await adopt.inspect()).inspection.tables.find((t) => t.name.includes('a"'))!.name,
  });
  await adopt.run(plan, { to: 'tighten' });
  await db.query(`insert into ${q(child)} (id, ${q(column)}) values (3, 2)`);
  const rows = await db.query(`select tenant_id is not null as filled from ${q(child)}`);
  expect(rows).toEqual([{ filled: true }, { filled: true }, { filled: true }]);
  const [found] = await db.query("select to_regclass('pwned') as found");
  expect(found).toEqual({ found: null });
});
