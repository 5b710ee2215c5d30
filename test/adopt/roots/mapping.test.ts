import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { analyzeHost } from '../support/analyze.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  // customers of the company's other system: no key leads to them, and only some are tenants
  await db.query(`
    create schema legacy;
    create table legacy.customers (code varchar(20), label text, active boolean not null default true);
    insert into legacy.customers values ('ACME', 'Acme Inc', true), ('BOLT', 'Bolt & Co', true), ('COG', null, true), ('GONE', 'Gone', false);
    create table orders (id integer generated always as identity primary key, customer_code varchar(20), total integer not null default 0);
    create table order_lines (id integer generated always as identity primary key, order_id integer not null references orders on delete cascade);
    create table parcels (id integer generated always as identity primary key, line_id integer references order_lines);
    create table tickets (id integer generated always as identity primary key, customer text not null);
    insert into orders (customer_code) select (array['ACME', 'BOLT', 'COG'])[1 + n % 3] from generate_series(1, 30) n;
    insert into order_lines (order_id) select id from orders, generate_series(1, 2);
    insert into parcels (line_id) select id from order_lines;
    insert into tickets (customer) select (array['ACME', 'BOLT'])[1 + n % 2] from generate_series(1, 10) n`);
  await analyzeHost(db);
  before = await dumpSchema(db.admin);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const file = (query: string, tables = ''): string =>
  `version: 1
root:
  query: ${query}
  keys:
    public.orders: customer_code
    public.tickets: [customer]
${tables}`;
const active = 'select code as key, label as name from legacy.customers where active;';
const adopt = () => createAdopt({ adminPool: pool });

/** A plan from the beginning of a file: its tables are proposed, and the one that nothing leads from is shared. */
async function planned(query = active) {
  const first = await adopt().plan(file(query));
  const text = first.file.replace(/(legacy\.customers:\n +class: )undecided/, '$1shared');
  return adopt().plan(text);
}

/** Rows whose tenant is not what these tables say, by queries that know them by heart; waiting ones have none. */
async function wrong(): Promise<Record<string, number>> {
  const truth: Record<string, string> = {
    orders: 'select tenant_id, customer_code as key from orders',
    tickets: 'select tenant_id, customer as key from tickets',
    order_lines: 'select l.tenant_id, o.customer_code as key from order_lines l, orders o where o.id = l.order_id',
    parcels:
      'select p.tenant_id, o.customer_code as key from parcels p left join order_lines l on l.id = p.line_id left join orders o on o.id = l.order_id',
  };
  const found: Record<string, number> = {};
  for (const [table, text] of Object.entries(truth)) {
    const [row] = await db.query<{ n: number }>(
      `select count(*)::int as n from (${text}) r where r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.key)`,
    );
    if (row!.n > 0) found[table] = row!.n;
  }
  return found;
}

describe('tenants that are the rows of a query', () => {
  test('the plan names the ways, keeps the query through an edit, and says how many organizations there will be', async () => {
    const { plan, file: text, organizations } = await planned();
    expect(organizations).toBe(3);
    expect(Object.fromEntries(plan.tables.map((t) => [t.table, [t.class, t.required]]))).toEqual({
      'legacy.customers': ['shared', 'at once'],
      'public.order_lines': ['owned', 'never'],
      'public.orders': ['owned', 'never'],
      'public.parcels': ['owned', 'never'],
      'public.tickets': ['owned', 'never'],
    });
    expect(text).toContain('query: select code as key, label as name from legacy.customers where active\n');
    expect((await adopt().plan(text)).plan.steps).toEqual(plan.steps);
    const decided = (file: string): string[] => file.split('\n').filter((line) => !/^\s*#/.test(line));
    expect(decided((await adopt().plan(text)).file)).toEqual(decided(text));
  });

  test('E2: every row gets the organization of its key, children by their foreign keys, to enforced and back', async () => {
    const { plan } = await planned();
    await adopt().run(plan, { to: 'backfill' });
    expect(await wrong()).toEqual({});
    await adopt().run(null);
    expect(await adopt().verify()).toEqual([]);
    expect(await db.query('select key, name from tenantry.organizations order by 1')).toEqual([
      { key: 'ACME', name: 'Acme Inc' },
      { key: 'BOLT', name: 'Bolt & Co' },
      { key: 'COG', name: 'Tenant COG' },
    ]);
    const app = new pg.Client({ connectionString: db.appUrl });
    await app.connect();
    const [acme] = await db.query<{ id: string }>(`select id from tenantry.organizations where key = 'ACME'`);
    await app.query(`select set_config('app.tenant_id', $1, false)`, [acme!.id]);
    expect((await app.query('select distinct customer_code from orders')).rows).toEqual([{ customer_code: 'ACME' }]);
    expect((await app.query('select count(*)::int as n from parcels')).rows).toEqual([{ n: 20 }]);
    // another's key, or one that nobody has, is no way to write for somebody else
    await expect(app.query(`insert into orders (customer_code) values ('BOLT')`)).rejects.toMatchObject({
      code: '42501',
    });
    await expect(app.query(`insert into orders (customer_code) values ('NEW')`)).rejects.toMatchObject({
      code: '42501',
    });
    await app.query(`insert into orders (customer_code) values ('ACME')`);
    await app.end();
    await db.query(`delete from orders where id = (select max(id) from orders)`);
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(await db.query('select count(*)::int as n from tenantry.organizations')).toEqual([{ n: 0 }]);
  });

  test('E3, E5: a key that nobody knows yet waits with what hangs on it, is listed, and gets its organization by the next run', async () => {
    const { plan } = await planned();
    await adopt().run(plan, { to: 'expand' });
    // in mid-adoption the same decisions are the plan of the run, and others are refused
    const text = (await planned()).file;
    await expect(adopt().plan(text.replace('[customer]', '[id]'))).rejects.toMatchObject({ code: 'TNT_PLAN_DRIFTED' });
    for (const to of ['expand', 'backfill', 'enforced'] as const) {
      await adopt().run(null, { to });
      const code = `NEW-${to}`;
      // the old application knows nothing of it
      await db.query(
        `with o as (insert into orders (customer_code) values ($1) returning id),
              l as (insert into order_lines (order_id) select id from o returning id)
         insert into parcels (line_id) select id from l`,
        [code],
      );
      await db.query(`insert into parcels (line_id) select max(id) from order_lines`);
      await db.query(
        `update tickets set customer = $1 where id = (select max(id) from tickets where customer = 'ACME')`,
        [code],
      );
      expect(await wrong(), code).toEqual({});
      const listed = await adopt().verify();
      if (to !== 'expand')
        expect(
          listed
            .filter(({ message }) => message.includes('no organization has their key'))
            .map(({ table, rows }) => [table, rows]),
        ).toEqual([
          ['public.orders', 1],
          ['public.tickets', 1],
        ]);
      await db.query(`insert into legacy.customers values ($1, 'New one')`, [code]);
      if (to === 'backfill') {
        expect(await db.query('select tenantry.adopt_organizations() as made')).toEqual([{ made: 1 }]);
      } else await adopt().run(null, { to });
      if (to !== 'expand') {
        expect(await wrong(), code).toEqual({});
        expect((await adopt().verify()).map(({ message }) => message)).toEqual([]);
      }
      expect(await db.query(`select name from tenantry.organizations where key = $1`, [code])).toEqual([
        { name: 'New one' },
      ]);
    }
    // a key that comes to be another's moves the row, and what hangs on it; one that nobody has leaves them waiting
    await db.query(`update orders set customer_code = 'BOLT' where customer_code = 'NEW-expand'`);
    expect(await wrong()).toEqual({});
    await db.query(`update orders set customer_code = 'NOBODY' where customer_code = 'NEW-backfill'`);
    expect(await wrong()).toEqual({});
    expect(await db.query(`select count(*)::int as n from parcels where tenant_id is null`)).toEqual([{ n: 2 }]);
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    await db.query(`
      delete from legacy.customers where code like 'NEW%';
      delete from parcels p using order_lines l, orders o where l.id = p.line_id and o.id = l.order_id and o.customer_code not in ('ACME', 'BOLT', 'COG');
      delete from orders where customer_code not in ('ACME', 'BOLT', 'COG');
      update tickets set customer = 'ACME' where customer like 'NEW%'`);
  });

  test('duplicate and missing keys of the query, and keys of rows that it does not know, are refused before anything is changed', async () => {
    await expect(planned('select label as key from legacy.customers')).rejects.toMatchObject({
      code: 'TNT_ADOPT_ROOT_KEYS',
      message: expect.stringContaining('1 row has no key'),
    });
    await expect(planned(`select 'x' as key from legacy.customers`)).rejects.toMatchObject({
      code: 'TNT_ADOPT_ROOT_KEYS',
      details: { keys: ['x'] },
    });
    await expect(planned('select code from legacy.customers')).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
      message: expect.stringContaining('root.query cannot be run'),
    });
    await expect(planned('select code as key from customers')).rejects.toMatchObject({ code: 'TNT_PLAN_INVALID' });
    await expect(planned('delete from legacy.customers returning code as key')).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
    });
    const few = await planned(`select code as key from legacy.customers where code = 'ACME'`);
    expect(few.conflicts.map(({ table, kind }) => [table, kind])).toContainEqual(['public.tickets', 'no tenant']);
    await expect(adopt().run(few.plan)).rejects.toMatchObject({ code: 'TNT_ADOPT_CONFLICTS' });
    expect(await dumpSchema(db.admin)).toBe(before);
  });

  test('a row whose key and whose parent name two organizations is listed, decided, and kept as decided', async () => {
    await db.query(`
      create table invoices (id integer primary key, code text, order_id integer references orders);
      insert into invoices select o.id, case when o.id % 5 = 0 then 'ACME' else o.customer_code end, o.id from orders o`);
    const text = file(active).replace(
      'public.tickets: [customer]',
      'public.tickets: [customer]\n    public.invoices: code',
    );
    const first = await adopt().plan(text);
    const [mixed] = await db.query<{ n: number }>(
      `select count(*)::int as n from invoices i join orders o on o.id = i.order_id where o.customer_code <> i.code`,
    );
    expect(mixed!.n).toBeGreaterThan(0);
    expect(first.conflicts.map(({ table, kind, rows }) => [table, kind, rows])).toEqual([
      ['public.invoices', 'joins tenants', mixed!.n],
    ]);
    const settled = first.file
      .replace(/(legacy\.customers:\n +class: )undecided/, '$1shared')
      .replace(/(public\.invoices:\n +class: owned\n)/, '$1    conflicts: quarantine\n');
    const { plan, conflicts } = await adopt().plan(settled);
    expect(conflicts).toEqual([]);
    await adopt().run(plan, { to: 'backfill' });
    await db.query(`insert into invoices select 1000, 'BOLT', min(id) from orders where customer_code = 'ACME'`);
    expect(
      await db.query(`
        select count(*) filter (where i.tenant_id is not null and i.code <> o.customer_code)::int as mixed,
          count(*) filter (where i.tenant_id is distinct from t.id and i.code = o.customer_code)::int as wrong
        from invoices i join orders o on o.id = i.order_id left join tenantry.organizations t on t.key = i.code`),
    ).toEqual([{ mixed: 0, wrong: 0 }]);
    expect((await adopt().undo()).differences).toEqual([]);
    await db.query('drop table invoices');
  });

  test('names of tables and columns that are not there are refused with their line', async () => {
    const bad = file(active).replace('public.tickets', 'public.nothing');
    await expect(adopt().plan(bad)).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
      message: expect.stringContaining('Line 6'),
    });
    await expect(adopt().plan(file(active).replace('[customer]', 'nothing'))).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
      message: expect.stringContaining('public.tickets has no column nothing'),
    });
  });
});
