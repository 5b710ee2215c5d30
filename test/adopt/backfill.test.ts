import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import type { TenantryError } from '../../src/errors.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let shop: ShopDatabase;
beforeAll(async () => {
  shop = await createShopDatabase(40_000);
});
afterAll(() => shop.drop());

test('a backfill that is stopped in the middle of a table goes on at the page where it was', async () => {
  const { db, pool } = shop;
  const adopt = createAdopt({ adminPool: pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  const stop = new AbortController();
  let asked = 0;
  const error = await adopt
    .run(plan, {
      signal: stop.signal,
      throttle: () => {
        asked += 1;
        return 0;
      },
      onEvent: (event) => {
        if (event.type === 'progress' && event.table === 'public.order_lines') {
          expect(event.striped).toBe(true);
          stop.abort();
        }
      },
    })
    .then(
      () => undefined,
      (e: TenantryError) => e,
    );
  expect(error?.code).toBe('TNT_INTERRUPTED');
  expect(asked).toBeGreaterThan(3);
  const [half] = await db.query<{ page: number; pages: number; rows: number; filled: number; all: number }>(
    `select (s.cursor ->> 'page')::int as page, (s.cursor ->> 'pages')::int as pages, s.rows_done::int as rows,
            (select count(tenant_id)::int from order_lines) as filled, (select count(*)::int from order_lines) as all
     from tenantry.adoption_steps s where s.id = 'backfill/public.order_lines/rows'`,
  );
  expect(half!.page).toBeLessThan(half!.pages);
  expect(half!.filled).toBe(half!.rows);
  expect(half!.filled).toBeLessThan(half!.all);
  const before = await db.query<{ n: number }>(
    `select count(*)::int as n from order_lines where tenant_id is not null`,
  );
  const result = await adopt.run(null, { to: 'verify' });
  expect(result.phase).toBe('verify');
  // each row was filled once
  const [whole] = await db.query<{ rows: number }>(
    `select rows_done::int as rows from tenantry.adoption_steps where id = 'backfill/public.order_lines/rows'`,
  );
  expect(whole!.rows).toBe(half!.all);
  expect(before[0]!.n).toBe(half!.filled);
  expect(await countWrongTenants(pool)).toEqual({});
  await adopt.undo();
});

test('a row that the application holds keeps the backfill waiting, and not the application', async () => {
  const { pool, shopUrl } = shop;
  const adopt = createAdopt({ adminPool: pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  const holder = new pg.Client({ connectionString: shopUrl });
  await holder.connect();
  let waited = 0;
  let released = false;
  await adopt.run(plan, {
    to: 'verify',
    onEvent: async (event) => {
      if (event.type === 'step' && event.id.startsWith('backfill/public.customers')) return;
      if (event.type === 'step' && event.id === 'expand/public.stock_moves/triggers') {
        await holder.query('begin; update orders set status = status where id in (1, 2, 3)');
      }
      if (event.type === 'lock' && event.id === 'backfill/public.orders/rows') {
        waited += 1;
        // while the backfill waits, the application takes what it wants
        if (waited === 2) await holder.query(`update orders set status = 'sent' where id between 4 and 500`);
        if (waited === 3) {
          await holder.query('commit');
          released = true;
        }
      }
    },
  });
  await holder.end();
  expect(waited).toBeGreaterThanOrEqual(3);
  expect(released).toBe(true);
  expect(await countWrongTenants(pool)).toEqual({});
  await adopt.undo();
});
