import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, type Phase } from '../../../src/adopt/index.ts';
import { sharedData } from '../../support/data.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { loadSql } from '../../support/load-sql.ts';
import { digest, pagila } from '../support/real-data.ts';
import { analyzeHost } from '../support/analyze.ts';
import { ownDump } from '../support/own-dump.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const file = sharedData(pagila);

/** What a person decided about pagila, with its stores as tenants. */
const decisions = {
  root: 'public.store',
  tables: {
    // a rental belongs to the store that owns the film; a customer and a clerk of the other store may have been part of it
    'public.rental': { class: 'owned', via: ['inventory_id'], conflicts: 'via' },
    // a payment belongs to its rental's store; those that the other store's clerk took are looked at first
    'public.payment': {
      class: 'owned',
      via: ['rental_id'],
      conflicts: { 'customer_id → rental_id': 'via', 'staff_id → rental_id': 'quarantine' },
    },
    // each store keeps its own addresses and cities
    'public.address': { class: 'owned', sharedRows: 'duplicate', orphans: 'quarantine' },
    'public.city': { class: 'owned', sharedRows: 'duplicate', orphans: 'quarantine' },
    'public.country': { class: 'shared' },
  },
} as const;

/** The tenant of every row as somebody writes it who knows pagila by heart and nothing of the plan; null: nobody's. */
const truth: Record<string, string> = {
  store: 'select t.tenant_id, t.store_id as store from store t',
  staff: 'select t.tenant_id, t.store_id as store from staff t',
  customer: 'select t.tenant_id, t.store_id as store from customer t',
  inventory: 'select t.tenant_id, t.store_id as store from inventory t',
  rental: 'select t.tenant_id, i.store_id as store from rental t join inventory i using (inventory_id)',
  payment: `select t.tenant_id, case when s.store_id = i.store_id then i.store_id end as store
            from payment t join rental r using (rental_id) join inventory i using (inventory_id) join staff s on s.staff_id = t.staff_id`,
  address: `select t.tenant_id, u.store from address t left join (
              select address_id, store_id as store from customer union select address_id, store_id from staff union select address_id, store_id from store
            ) u using (address_id)`,
  city: `select t.tenant_id, u.store from city t left join (
           select distinct a.city_id, u.store from address a join (
             select address_id, store_id as store from customer union select address_id, store_id from staff union select address_id, store_id from store
           ) u using (address_id)) u using (city_id)`,
};

/** What the application asks for. */
const questions = [
  'select * from customer_list order by id',
  'select * from staff_list order by id',
  'select * from sales_by_store order by 1',
  'select * from sales_by_film_category order by 1',
  'select count(*), sum(amount), min(payment_date) from payment',
  'select customer_id, count(*) from rental group by 1 order by 2 desc, 1 limit 50',
  'select address_id, address, city_id from address order by 1',
  'select city, count(*) from city join address using (city_id) group by 1 order by 2 desc, 1 limit 50',
  'select film_in_stock(1, 1)',
  'select inventory_in_stock(inventory_id) from inventory where film_id = 1 order by inventory_id',
  'select i.store_id, count(*) from inventory i left join rental r on r.inventory_id = i.inventory_id and r.return_date is null group by 1 order by 1',
];

describe.skipIf(file === undefined)('E2, E5: pagila with its stores as tenants, everything decided', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  let old: pg.Client;
  const login = `pagila_app_${randomBytes(4).toString('hex')}`;
  beforeAll(async () => {
    db = await createTestDatabase();
    pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
    await db.query(`create role ${login} login password 'pagila'`);
    await db.query(`grant ${login} to tenantry_admin; grant create, usage on schema public to ${login}`);
    const url = new URL(db.adminUrl);
    url.username = login;
    url.password = 'pagila';
    old = new pg.Client({ connectionString: url.toString() });
    await old.connect();
    await loadSql(old, file!);
    await old.query('set search_path to public; set timezone to utc');
    await analyzeHost(db);
  });
  afterAll(async () => {
    await old.end();
    await pool.end();
    await db.drop();
    const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
    await last.connect();
    await last.query(`drop role if exists ${login}`);
    await last.end();
  });

  const answers = async (): Promise<string> => {
    const all: unknown[] = [];
    for (const text of questions) all.push((await old.query({ text, rowMode: 'array' })).rows);
    return JSON.stringify(all);
  };

  const wrong = async (): Promise<Record<string, number>> => {
    const found: Record<string, number> = {};
    for (const [table, text] of Object.entries(truth)) {
      const [row] = await db.query<{ n: number }>(
        `select count(*)::int as n from (${text}) r where r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.store::text)`,
      );
      if (row!.n > 0) found[table] = row!.n;
    }
    return found;
  };

  test('go to enforced with every row where a hand-written query puts it, and back to the same schema and data', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan, conflicts, decided, file: text } = await adopt.plan(decisions);
    expect(conflicts).toEqual([]);
    expect(decided.map(({ table, kind, decision, rows }) => `${table} ${kind} ${decision} ${rows}`)).toEqual([
      'public.city no tenant quarantine 1',
      'public.city shared row duplicate 2',
      'public.payment joins tenants via 8022',
      'public.payment joins tenants quarantine 8009',
      'public.rental joins tenants via 8018',
      'public.rental joins tenants via 7981',
    ]);
    expect((await adopt.plan(text)).plan.steps).toEqual(plan.steps);
    const before = await dumpSchema(db.admin);
    const tables = plan.tables.map((table) => table.table);
    const data = await digest(pool, tables);
    const said = await answers();
    const theirs = ownDump(db, 'schema');
    const rehearsed = ['expand', 'backfill', 'verify', 'tighten', 'shadow'] satisfies Phase[];
    const dumps = new Map<Phase, string>();
    for (const to of rehearsed) {
      await adopt.run(to === 'expand' ? plan : null, { to });
      expect(await answers(), to).toBe(said);
      dumps.set(to, await dumpSchema(db.admin));
    }
    expect(await adopt.verify()).toEqual([]);
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await adopt.verify()).toEqual([]);
    expect(await wrong()).toEqual({});
    const copies = await db.query(
      'select table_name, count(*)::int as n from tenantry.adoption_duplicates group by 1 order by 1',
    );
    expect(copies).toEqual([{ table_name: 'public.city', n: 2 }]);
    for (const key of ['1', '2']) {
      const app = new pg.Client({ connectionString: db.appUrl });
      await app.connect();
      const [organization] = await db.query<{ id: string }>('select id from tenantry.organizations where key = $1', [
        key,
      ]);
      await app.query("select set_config('app.tenant_id', $1, false)", [organization!.id]);
      for (const [table, text] of Object.entries(truth)) {
        const mine = await app.query(
          `select count(*)::int as n, count(distinct tenant_id)::int as tenants from ${table}`,
        );
        const [expected] = await db.query<{ n: number }>(
          `select count(*)::int as n from (${text}) r where r.store = $1::int`,
          [key],
        );
        expect(mine.rows, `${table} of ${key}`).toEqual([{ n: expected!.n, tenants: 1 }]);
      }
      // a customer list as the store sees it: nothing of it is missing
      const list = `select customer_id, first_name, address, city from customer join address using (address_id) join city using (city_id) order by 1`;
      expect((await app.query(list)).rows).toEqual(
        await db.query(list.replace(' order by 1', ` where store_id = ${key} order by 1`)),
      );
      await app.end();
    }
    // back phase by phase: each is what it was on the way up
    for (const to of rehearsed.toReversed()) {
      expect((await adopt.undo({ to })).phase).toBe(to);
      expect(await dumpSchema(db.admin), `undone to ${to}`).toBe(dumps.get(to));
      expect(await answers(), `undone to ${to}`).toBe(said);
    }
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(ownDump(db, 'schema')).toBe(theirs);
    expect(await digest(pool, tables)).toEqual(data);
    expect(await answers()).toBe(said);
  });
});
