import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, type HookContext, phases } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(`
    create table shops (id int primary key, name text not null, slug text not null);
    create table notes (id int primary key, shop_id int not null references shops (id), code text, constraint notes_code_key unique (code));
    create table journal (id int generated always as identity primary key, line text not null);
    insert into shops values (1, 'One', 'one'), (2, 'Two', 'two');
    insert into notes values (1, 1, 'a'), (2, 2, 'b')`);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const noting = (name: string) => ({
  name,
  run: async ({ tx }: HookContext) =>
    void (await tx.query('insert into public.journal (line) values ($1)', [`did ${name}`])),
  undo: async ({ tx }: HookContext) =>
    void (await tx.query('insert into public.journal (line) values ($1)', [`undid ${name}`])),
});
const lines = async (): Promise<string[]> =>
  (await db.query<{ line: string }>('select line from journal order by id')).map(({ line }) => line);

test('E2: before and after every phase, contract among them, each once and in its place, and taken back the other way round', async () => {
  const before = await dumpSchema(pool);
  const adopt = createAdopt({
    adminPool: pool,
    hooks: {
      beforePhase: Object.fromEntries(phases.map((phase) => [phase, noting(`before ${phase}`)])),
      afterPhase: Object.fromEntries(phases.map((phase) => [phase, noting(`after ${phase}`)])),
    },
  });
  const { plan } = await adopt.plan({
    root: 'public.shops',
    tables: { 'public.notes': { uniques: { notes_code_key: 'per-tenant' } }, 'public.journal': { class: 'shared' } },
  });
  const yes = { confirm: () => true };
  for (const phase of phases.filter((one) => one !== 'contract')) {
    await adopt.run(phase === 'preflight' ? plan : null, { to: phase, ...yes });
    expect((await lines()).slice(-2), phase).toEqual([`did before ${phase}`, `did after ${phase}`]);
  }
  await adopt.contract(yes);
  const ran = phases.flatMap((phase) => [`did before ${phase}`, `did after ${phase}`]);
  expect(await lines()).toEqual(ran);
  expect((await adopt.undo()).differences).toEqual([]);
  expect((await lines()).slice(ran.length)).toEqual(ran.map((line) => line.replace('did', 'undid')).toReversed());
  expect(await dumpSchema(pool)).toBe(before);
});
