import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let app: pg.Client;
beforeEach(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(`
    create table shops (id bigint primary key, name text not null);
    create table products (id bigint primary key, shop_id bigint not null references shops (id));
    create table orders (id bigint primary key, shop_id bigint not null references shops (id), copy_of bigint references orders (id));
    create table lines (order_id bigint not null references orders (id), product_id bigint not null references products (id), note text, primary key (order_id, product_id));
    insert into shops values (1, 'One'), (2, 'Two');
    insert into products values (11, 1), (22, 2);
    insert into orders values (101, 1), (202, 2);
    insert into lines values (101, 11), (202, 22);
  `);
  app = new pg.Client({ connectionString: db.appUrl });
  await app.connect();
});
afterEach(async () => {
  await app.end();
  await pool.end();
  await db.drop();
});

async function become(key: string): Promise<string> {
  const [organization] = await db.query<{ id: string }>('select id from tenantry.organizations where key = $1', [key]);
  await app.query("select set_config('app.tenant_id', $1, false)", [organization!.id]);
  return organization!.id;
}

/** What the application learns from a refused statement. */
async function answer(text: string): Promise<string> {
  const error = await app.query(text).then(
    () => undefined,
    (e: pg.DatabaseError) => e,
  );
  if (error === undefined) return 'done';
  const { code, message, detail, schema, table, constraint } = error;
  return [`${code} ${message}`, detail, schema, table, constraint].join(' | ');
}

describe('C7: a reference to another tenant’s row', () => {
  test('is refused as one to a row that does not exist, on every key, after adoption by a root', async () => {
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run((await adopt.plan({ root: 'public.shops' })).plan);
    await become('1');
    for (const [foreign, missing] of [
      ['insert into lines values (101, 22)', 'insert into lines values (101, 99)'],
      ['insert into lines values (202, 11)', 'insert into lines values (999, 11)'],
      [
        'update lines set product_id = 22 where order_id = 101',
        'update lines set product_id = 99 where order_id = 101',
      ],
      ['insert into orders values (103, 2)', 'insert into orders values (103, 9)'],
      ['insert into orders values (103, 1, 202)', 'insert into orders values (103, 1, 999)'],
    ] as const) {
      const told = await answer(foreign);
      expect(told, foreign).toContain('23503');
      expect(told, foreign).toBe(await answer(missing));
    }
    expect(await answer('insert into orders values (103, 1, 101)')).toBe('done');
    expect(await answer('insert into lines values (103, 11)')).toBe('done');
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('is refused after adoption by a constant tenant, once there is a second one', async () => {
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run((await adopt.plan({ constant: 'System Tenant' })).plan);
    await db.query(`insert into tenantry.organizations (name, slug, key) values ('Second', 'second', 'second')`);
    const second = await become('second');
    expect((await app.query('select id from shops')).rows).toEqual([]);
    expect(await answer(`insert into orders values (300, 1)`)).toBe(await answer(`insert into orders values (300, 9)`));
    // its own rows are its own, without naming the tenant
    expect(await answer(`insert into shops values (3, 'Three')`)).toBe('done');
    expect(await answer(`insert into orders values (300, 3)`)).toBe('done');
    expect(await db.query('select distinct tenant_id from orders where id = 300')).toEqual([{ tenant_id: second }]);
    expect(await answer(`insert into lines values (300, 11)`)).toBe(await answer(`insert into lines values (300, 99)`));
    await become('system-tenant');
    expect((await app.query('select id from shops order by id')).rows).toEqual([{ id: '1' }, { id: '2' }]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('C7: the functions that fill and move rows as the owner cannot be hung on a table of the application’s own', async () => {
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run((await adopt.plan({ root: 'public.shops' })).plan);
    await become('1');
    const functions = await db.query<{ name: string }>(
      `select p.oid::regproc::text as name from pg_proc p where p.pronamespace = 'tenantry'::regnamespace and p.proname ~ '^adopt_' and p.prorettype = 'trigger'::regtype order by 1`,
    );
    expect(functions.length).toBeGreaterThan(4);
    await app.query('create temporary table bait (id bigint, tenant_id uuid)');
    for (const { name } of functions) {
      expect(
        await answer(`create trigger t after update on bait for each row execute function ${name}()`),
        name,
      ).toMatch(/^42501 permission denied/);
    }
    expect(await answer(`select tenantry.adopt_organization('x', 'y')`)).toMatch(/^42501 permission denied/);
    for (const table of ['adoption_runs', 'adoption_steps', 'adoption_organizations']) {
      expect(await answer(`select * from tenantry.${table}`)).toMatch(/^42501 permission denied/);
    }
  });
});
