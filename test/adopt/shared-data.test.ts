import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { TenantryError } from '../../src/errors.ts';
import { sharedData } from '../support/data.ts';
import type { TestDatabase } from '../support/database.ts';
import { ownDump } from './support/own-dump.ts';
import { digest, loadRealData, pagila } from './support/real-data.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

/** The real databases, with the number of tables and rows that each brings. */
const databases = [
  { name: 'pagila', files: [pagila], tables: 15, rows: 46_273 },
  { name: 'chinook', files: ['sql/chinook/chinook-serial.sql'], tables: 11, rows: 15_607 },
  { name: 'northwind', files: ['sql/northwind/northwind.sql'], tables: 14, rows: 3362 },
  { name: 'petclinic', files: ['sql/petclinic/schema.sql', 'sql/petclinic/data.sql'], tables: 7, rows: 47 },
] as const;

for (const { name, files, tables, rows } of databases) {
  describe.skipIf(sharedData(files[0]) === undefined)(`${name}, a database that nobody here wrote`, () => {
    let db: TestDatabase;
    let pool: pg.Pool;
    beforeAll(async () => {
      ({ db, pool } = await loadRealData(...files));
    });
    afterAll(async () => {
      await pool.end();
      await db.drop();
    });

    test('E3: goes to enforced with a constant tenant and back, and neither schema nor data is another afterwards', async () => {
      const adopt = createAdopt({ adminPool: pool });
      const before = await dumpSchema(db.admin);
      const { plan, conflicts } = await adopt.plan({ constant: 'System Tenant' });
      expect(conflicts).toEqual([]);
      expect(plan.order.length).toBe(tables);
      const data = await digest(pool, plan.order);
      expect(Object.values(data).reduce((sum, d) => sum + d.rows, 0)).toBe(rows);
      const result = await adopt.run(plan);
      expect(result.phase).toBe('enforced');
      const [organization] = await db.query<{ id: string }>(
        "select id from tenantry.organizations where key = 'system-tenant'",
      );
      for (const table of plan.order) {
        const counted = await db.query(`select count(*)::int as n from ${table} where tenant_id is distinct from $1`, [
          organization?.id,
        ]);
        expect(counted, table).toEqual([{ n: 0 }]);
      }
      // the runtime role sees nothing without a tenant, and everything as the one that has all
      const app = new pg.Client({ connectionString: db.appUrl });
      await app.connect();
      const largest = plan.order.toSorted((a, b) => data[b]!.rows - data[a]!.rows)[0]!;
      expect((await app.query(`select count(*)::int as n from ${largest}`)).rows).toEqual([{ n: 0 }]);
      await app.query("select set_config('app.tenant_id', $1, false)", [organization?.id]);
      expect((await app.query(`select count(*)::int as n from ${largest}`)).rows).toEqual([{ n: data[largest]!.rows }]);
      await app.end();
      const undone = await adopt.undo();
      expect(undone.differences).toEqual([]);
      expect(await dumpSchema(db.admin)).toBe(before);
      expect(await digest(pool, plan.order)).toEqual(data);
    });
  });
}

/** A root of each database's own, and the tenant's key of every row by a query that knows the schema by heart. Pagila: decisions/pagila.test.ts. */
const rooted = [
  {
    name: 'chinook',
    files: ['sql/chinook/chinook-serial.sql'],
    root: 'public.customer',
    organizations: 59,
    model: {
      'public.customer': 'select t.tenant_id, t.customer_id::text as key from customer t',
      'public.invoice': 'select t.tenant_id, t.customer_id::text as key from invoice t',
      'public.invoice_line':
        'select t.tenant_id, i.customer_id::text as key from invoice_line t join invoice i using (invoice_id)',
    },
    // customer 2 has invoice 1; no other tenant may add a line to it
    tenant: '2',
    allowed: 'insert into invoice_line (invoice_id, track_id, unit_price, quantity) values (1, 1, 0.99, 1)',
    refused: 'insert into invoice_line (invoice_id, track_id, unit_price, quantity) values (2, 1, 0.99, 1)',
  },
  {
    name: 'northwind',
    files: ['sql/northwind/northwind.sql'],
    root: 'public.customers',
    organizations: 91,
    model: {
      'public.customers': 'select t.tenant_id, t.customer_id::text as key from customers t',
      'public.orders': 'select t.tenant_id, t.customer_id::text as key from orders t',
      'public.order_details':
        'select t.tenant_id, o.customer_id::text as key from order_details t join orders o using (order_id)',
      'public.customer_customer_demo': 'select t.tenant_id, t.customer_id::text as key from customer_customer_demo t',
    },
    tenant: 'VINET',
    allowed: 'insert into order_details values (10248, 1, 1, 1, 0)',
    refused: 'insert into order_details values (10249, 1, 1, 1, 0)',
  },
  {
    name: 'petclinic',
    files: ['sql/petclinic/schema.sql', 'sql/petclinic/data.sql'],
    root: 'public.owners',
    organizations: 10,
    model: {
      'public.owners': 'select t.tenant_id, t.id::text as key from owners t',
      'public.pets': 'select t.tenant_id, t.owner_id::text as key from pets t',
      'public.visits': 'select t.tenant_id, p.owner_id::text as key from visits t join pets p on p.id = t.pet_id',
    },
    tenant: '1',
    allowed: 'insert into visits (pet_id) values (1)',
    refused: 'insert into visits (pet_id) values (2)',
  },
] as const;

for (const { name, files, root, organizations, model, tenant, allowed, refused } of rooted) {
  describe.skipIf(sharedData(files[0]) === undefined)(`${name} with the rows of ${root} as tenants`, () => {
    let db: TestDatabase;
    let pool: pg.Pool;
    beforeAll(async () => {
      ({ db, pool } = await loadRealData(...files));
    });
    afterAll(async () => {
      await pool.end();
      await db.drop();
    });

    /** Tables with rows whose tenant is not the one that the model derives, or that the model does not know. */
    const wrong = async (): Promise<Record<string, unknown>> => {
      const found: Record<string, unknown> = {};
      for (const [table, text] of Object.entries(model)) {
        const [row] = await db.query<{ wrong: number; missed: number }>(
          `with r as (${text})
           select (select count(*)::int from r where r.tenant_id is null or r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.key)) as wrong,
                  ((select count(*) from ${table}) - (select count(*) from r))::int as missed`,
        );
        if (row!.wrong !== 0 || row!.missed !== 0) found[table] = row;
      }
      return found;
    };

    test('E2, E5: undone from every phase and from enforced, with each row’s tenant as a hand-written query derives it', async () => {
      const adopt = createAdopt({ adminPool: pool });
      expect((await adopt.inspect()).roots.length).toBeGreaterThan(1);
      const first = await adopt.plan({ root });
      const others = first.plan.tables.filter(({ table }) => !(table in model)).map(({ table }) => table);
      const decided = Object.fromEntries(others.map((table) => [table, { class: 'shared' as const }]));
      const { plan, conflicts, organizations: made } = await adopt.plan({ root, tables: decided });
      expect(conflicts).toEqual([]);
      expect(made).toBe(organizations);
      expect(plan.order.toSorted()).toEqual(Object.keys(model).toSorted());

      const before = {
        own: await dumpSchema(db.admin),
        schema: ownDump(db, 'schema'),
        'schema and rows': ownDump(db, 'schema and rows'),
      };
      const tables = plan.tables.map(({ table }) => table);
      const data = await digest(pool, tables);
      for (const to of ['expand', 'backfill', 'verify', 'tighten', 'shadow', 'enforced'] as const) {
        await adopt.run(plan, { to });
        if (to !== 'expand') expect(await wrong(), to).toEqual({});
        if (to === 'enforced') {
          expect(await adopt.verify()).toEqual([]);
          const [organization] = await db.query<{ id: string }>(
            'select id from tenantry.organizations where key = $1',
            [tenant],
          );
          const app = new pg.Client({ connectionString: db.appUrl });
          await app.connect();
          await app.query("select set_config('app.tenant_id', $1, false)", [organization!.id]);
          for (const [table, text] of Object.entries(model)) {
            const seen = (await app.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows;
            const own = await db.query(`select count(*)::int as n from (${text}) r where r.key = $1`, [tenant]);
            expect(seen, table).toEqual(own);
          }
          await app.query('begin');
          expect((await app.query(allowed)).rowCount).toBe(1);
          await app.query('rollback');
          await expect(app.query(refused)).rejects.toMatchObject({ code: '23503' });
          await app.end();
        }
        expect((await adopt.undo()).differences, `undo from ${to}`).toEqual([]);
        expect(await dumpSchema(db.admin), `undo from ${to}`).toBe(before.own);
        expect(await digest(pool, tables), `rows after undo from ${to}`).toEqual(data);
        // the tenant's own insert was rolled back; its number was not
        const what = to === 'enforced' ? 'schema' : 'schema and rows';
        expect(ownDump(db, what), `pg_dump after undo from ${to}`).toBe(before[what]);
      }
    });
  });
}

describe.skipIf(sharedData(databases[0].files[0]) === undefined)('pagila with its stores as tenants', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  beforeAll(async () => {
    ({ db, pool } = await loadRealData(pagila));
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
  });

  test('lists exactly the 8,018 rentals and 7,997 payments that join two stores, and changes nothing', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const before = await dumpSchema(db.admin);
    const { plan, conflicts } = await adopt.plan({ root: 'public.store' });
    const rentals = conflicts.find((c) => c.table === 'public.rental' && c.rows === 8018);
    expect(rentals?.routes).toEqual([
      'public.rental.inventory_id → public.inventory.store_id → public.store',
      'public.rental.customer_id → public.customer.store_id → public.store',
    ]);
    expect(rentals?.keys.length).toBe(8018);
    const payments = conflicts.find((c) => c.table === 'public.payment' && c.rows === 7997);
    expect(payments?.routes).toEqual([
      'public.payment.customer_id → public.customer.store_id → public.store',
      'public.payment.staff_id → public.staff.store_id → public.store',
    ]);
    expect(payments?.keys.length).toBe(7997);
    // the same by statements that know the schema by heart
    const [counted] = await db.query(
      `select (select count(*)::int from rental r join inventory i using (inventory_id) join customer c using (customer_id) where i.store_id <> c.store_id) as rentals,
              (select count(*)::int from payment p join customer c using (customer_id) join staff s using (staff_id) where c.store_id <> s.store_id) as payments`,
    );
    expect(counted).toEqual({ rentals: 8018, payments: 7997 });

    const refused = await adopt.run(plan).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(TenantryError);
    expect(refused).toMatchObject({ code: 'TNT_ADOPT_CONFLICTS', exitCode: 3 });
    expect((refused as TenantryError).message).toContain('8,018 rows of public.rental join two tenants');
    expect((refused as TenantryError).message).toContain('7,997 rows of public.payment join two tenants');
    expect(await adopt.status()).toBeNull();
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(await db.query('select 1 from tenantry.organizations')).toEqual([]);
  });
});
