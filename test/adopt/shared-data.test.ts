import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { TenantryError } from '../../src/errors.ts';
import { sharedData } from '../support/data.ts';
import type { TestDatabase } from '../support/database.ts';
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
