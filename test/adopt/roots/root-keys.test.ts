import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(`
    create table shop (code text, name text, region text not null);
    insert into shop values ('a', 'A', 'north'), ('b', 'B', 'south');
    create table sale (id integer primary key, shop_code text);
    insert into sale select n, case n % 2 when 0 then 'a' else 'b' end from generate_series(1, 10) n`);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const adopt = () => createAdopt({ adminPool: pool });
const shared = { tables: { 'public.sale': { class: 'shared' } } } as const;

describe('a root table without a primary key', () => {
  test('E2: a column that looks unique and is serves as the key', async () => {
    const before = await dumpSchema(db.admin);
    const { plan, file } = await adopt().plan({ root: 'public.shop', ...shared });
    expect(plan.root?.key).toEqual(['code']);
    expect(file).toContain('root:\n  table: public.shop\n  key: code\n');
    expect((await adopt().plan(file)).plan.steps).toEqual(plan.steps);
    await adopt().run(plan);
    expect(await db.query('select key from tenantry.organizations order by 1')).toEqual([{ key: 'a' }, { key: 'b' }]);
    // nothing keeps it unique: the old application goes on, a row without a key waits, and verify lists it
    await db.query(`insert into shop values (null, 'Nameless', 'west')`);
    expect((await adopt().verify()).map(({ table, rows }) => [table, rows])).toContainEqual(['public.shop', 1]);
    await db.query('delete from shop where code is null');
    expect(await adopt().verify()).toEqual([]);
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
  });

  test('E2: duplicate and missing keys are listed, by plan and by run, and nothing is changed', async () => {
    const before = await dumpSchema(db.admin);
    const { plan } = await adopt().plan({ root: 'public.shop', ...shared });
    await db.query(`insert into shop values ('a', 'Again', 'north'), (null, 'Nameless', 'north')`);
    const refused = {
      code: 'TNT_ADOPT_ROOT_KEYS',
      message:
        'public.shop does not tell its organizations apart by code: 1 row has no key, and several rows have the key a (2 rows).',
      details: { keys: ['a'], nulls: 1 },
    };
    await expect(adopt().plan({ root: 'public.shop', ...shared })).rejects.toMatchObject(refused);
    await expect(adopt().run(plan)).rejects.toMatchObject(refused);
    expect(await adopt().status()).toMatchObject({ status: 'undone' });
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(await db.query('select count(*)::int as n from tenantry.organizations')).toEqual([{ n: 0 }]);
    await db.query(`delete from shop where name in ('Again', 'Nameless')`);
  });

  test('E2: a key may be named, and one that is not there is refused with its line', async () => {
    const text = (key: string): string =>
      `version: 1\nroot:\n  table: public.shop\n  key: ${key}\ntables:\n  public.shop: { class: root }\n  public.sale: { class: shared }\n`;
    expect((await adopt().plan(text('[region, code]'))).plan.root?.key).toEqual(['region', 'code']);
    await expect(adopt().plan(text('nothing'))).rejects.toMatchObject({ code: 'TNT_PLAN_INVALID' });
    await expect(
      adopt().plan('version: 1\nroot:\n  table: public.shop\n  query: select 1 as key\n'),
    ).rejects.toMatchObject({ code: 'TNT_PLAN_INVALID', message: expect.stringContaining('either table or query') });
  });
});

describe('a constant organization', () => {
  test('E3: the System Tenant takes every row without a rewrite, and undo leaves nothing', async () => {
    const before = await dumpSchema(db.admin);
    const { plan } = await adopt().plan({ constant: 'System Tenant' });
    const file = async () => db.query(`select pg_relation_filenode('public.sale') as node`);
    const node = await file();
    await adopt().run(plan);
    expect(await file()).toEqual(node);
    expect(
      await db.query(
        `select o.name, count(*)::int as rows from sale s join tenantry.organizations o on o.id = s.tenant_id group by 1`,
      ),
    ).toEqual([{ name: 'System Tenant', rows: 10 }]);
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
  });
});
