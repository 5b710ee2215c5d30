import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { nightlyJob, nightlyJobOfShop } from '../../src/adopt/sample/heavy-operations.ts';
import { createLedger } from '../../src/adopt/sample/ledger.ts';
import type { Operation, ShopState } from '../../src/adopt/sample/operations.ts';
import { withTenant } from '../../src/context/index.ts';
import type { PoolLike } from '../../src/database/kernel.ts';
import { createOperatorPool, createPool, withoutTenant } from '../../src/pool/index.ts';
import { answer } from './support/subject.ts';
import { createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let shop: ShopDatabase;
beforeAll(async () => {
  shop = await createShopDatabase(600);
});
afterAll(() => shop.drop());

/** Runs a job of the sample shop's through a pool, for one of the shops. */
async function run(job: Operation, pool: PoolLike, id: string): Promise<void> {
  const state: ShopState = { id, customers: [], products: [], orders: [], turn: 0 };
  const query = async (text: string, values: readonly unknown[] = []) =>
    (await pool.query(text, [...values])).rows as never[];
  const none = (): never => {
    throw new Error('a nightly job needs no more than that');
  };
  await job.run({ query, named: none, transaction: none, copy: none }, state, createLedger(), state);
}

/** The report as it stands, and an empty one for the next to write. */
async function takeReport(): Promise<unknown[]> {
  const rows = await shop.db.query(
    'select shop_id::int, day::text, orders, revenue_cents::int from daily_sales order by 1, 2',
  );
  await shop.db.query('delete from daily_sales');
  return rows;
}

describe('E5: a job over every tenant', () => {
  test('runs after each step of enforcement as an operator and tenant by tenant; inside one tenant it is refused half-way, then sees that one', async () => {
    const { db, pool, shopUrl } = shop;
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await db.query(`update orders set placed_at = now() where id % 3 = 0`);
    await takeReport();
    await run(nightlyJob, db.admin, '1');
    const wanted = await takeReport();
    expect(wanted.length).toBeGreaterThan(2);

    await adopt.run(plan, { to: 'shadow' });
    const tenants = await db.query<{ id: string; key: string }>(
      'select id, key from tenantry.organizations order by key',
    );
    const app = createPool({ connectionString: shopUrl, max: 1 });
    const operator = createOperatorPool(db.operatorUrl, { max: 1 });
    const inside = { done: 0, refused: 0 };
    try {
      const steps = plan.steps.filter(({ phase }) => phase === 'enforced');
      for (let done = 0; ; done += 1) {
        await withoutTenant('daily sales', (across) => run(nightlyJob, across, '1'), { operator });
        expect(await takeReport(), `as an operator, after ${done} steps`).toEqual(wanted);

        for (const { id, key } of tenants) await withTenant({ tenantId: id }, () => run(nightlyJobOfShop, app, key));
        expect(await takeReport(), `tenant by tenant, after ${done} steps`).toEqual(wanted);

        // what shadow counts as a miss: the job of all shops in the context of one
        const [one] = tenants;
        const got = await withTenant({ tenantId: one!.id }, () =>
          answer({ query: () => run(nightlyJob, app, one!.key) }, ''),
        );
        const report = await takeReport();
        if (got === 'done') inside.done += 1;
        else {
          inside.refused += 1;
          expect(got, `inside one tenant, after ${done} steps`).toMatch(/^(23503|42501) /);
          expect(report).toEqual([]);
        }
        if (done === steps.length) {
          expect(got).toBe('done');
          expect(report).toEqual(wanted.filter((row) => String((row as { shop_id: number }).shop_id) === one!.key));
          break;
        }
        const stop = new AbortController();
        const next = adopt.run(null, {
          signal: stop.signal,
          onEvent: (event) => void (event.type === 'step' && stop.abort()),
        });
        if (done === steps.length - 1) await next;
        else await expect(next).rejects.toMatchObject({ code: 'TNT_INTERRUPTED' });
      }
    } finally {
      await app.end();
      await operator?.end();
    }
    expect(inside.refused).toBeGreaterThan(0);
    expect(inside.done).toBeGreaterThan(1);
    expect((await adopt.undo()).differences).toEqual([]);
  });
});
