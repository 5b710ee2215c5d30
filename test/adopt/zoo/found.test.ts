import pg from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../../src/adopt/index.ts';
import { sharedData } from '../../support/data.ts';
import { createTestDatabase } from '../../support/database.ts';
import { loadSql } from '../../support/load-sql.ts';

vi.setConfig({ testTimeout: 120_000 });

/** Databases that nobody here wrote, their foreign keys taken away: what of them is found again, and what by names that say nothing is not. */
const databases = [
  { name: 'chinook', files: ['sql/chinook/chinook-serial.sql'], missed: ['public.customer(support_rep_id)'] },
  {
    name: 'northwind',
    files: ['sql/northwind/northwind.sql'],
    // a table without rows, and a name that says nothing
    missed: [
      'public.customer_customer_demo(customer_id)',
      'public.customer_customer_demo(customer_type_id)',
      'public.orders(ship_via)',
    ],
  },
  { name: 'petclinic', files: ['sql/petclinic/schema.sql', 'sql/petclinic/data.sql'], missed: [] },
] as const;

for (const { name, files, missed } of databases) {
  describe.skipIf(sharedData(files[0]) === undefined)(`${name} without its foreign keys`, () => {
    test('every reference that its names tell is found with confidence, and nothing that is none', async () => {
      const db = await createTestDatabase();
      const pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
      try {
        const client = await pool.connect();
        for (const file of files) await loadSql(client, sharedData(file)!);
        await client.query('set search_path to default; analyze');
        client.release(true);
        const adopt = createAdopt({ adminPool: pool });
        const declared = (await adopt.inspect()).inspection.foreignKeys;
        for (const key of declared) await db.query(`alter table ${key.table} drop constraint "${key.name}"`);
        const { references } = await adopt.inspect();
        const truth = declared.map(
          (key) => `${key.table}(${key.columns.join(', ')}) → ${key.parent}(${key.parentColumns.join(', ')})`,
        );
        const found = references
          .filter(({ confidence }) => confidence !== 'low')
          .map(({ from, to }) => `${from} → ${typeof to === 'string' ? to : JSON.stringify(to)}`);
        expect(found.filter((reference) => !truth.includes(reference))).toEqual([]);
        expect(truth.filter((reference) => !found.includes(reference)).map((text) => text.split(' → ')[0])).toEqual(
          missed,
        );
      } finally {
        await pool.end();
        await db.drop();
      }
    });
  });
}
