import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { heavyOperations, nightlyJob } from '../../src/adopt/sample/heavy-operations.ts';
import { startWorkload } from '../../src/adopt/sample/index.ts';
import { operations } from '../../src/adopt/sample/operations.ts';
import { withTenant } from '../../src/context/index.ts';
import { createPool } from '../../src/pool/index.ts';
import { ownDump } from './support/own-dump.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let shop: ShopDatabase;
beforeAll(async () => {
  shop = await createShopDatabase(2000);
});
afterAll(() => shop.drop());

/** Every request of the old application, each of which must have come while a phase went on. */
const requests = [...operations, ...heavyOperations, nightlyJob].map(({ name }) => name);

describe('the sample shop from inspection to enforcement and back, while its old application works', () => {
  test('E2, E3, E5, F2: every row gets the tenant that its keys say, no statement fails and none is lost', async () => {
    const { db, pool, shopUrl } = shop;
    const before = { own: await dumpSchema(db.admin), postgres: ownDump(db, 'schema') };
    const adopt = createAdopt({ adminPool: pool });
    const { roots } = await adopt.inspect();
    expect(roots[0]?.table).toBe('public.shops');
    const { plan, conflicts } = await adopt.plan({ root: 'public.shops' });
    expect(conflicts).toEqual([]);
    expect(Object.fromEntries(plan.tables.map((t) => [t.table, t.class]))).toMatchObject({
      'public.shops': 'root',
      'public.orders': 'owned',
      'public.order_lines': 'owned',
      'public.countries': 'shared',
      'public.schema_migrations': 'shared',
    });

    const failures: unknown[] = [];
    const workload = await startWorkload(shopUrl, {
      clients: 3,
      heavy: true,
      nightlyEvery: 30,
      onError: (error, operation) => failures.push([operation, error]),
    });
    onTestFinished(async () => void (await workload.stop()));
    const events: AdoptEvent[] = [];
    // COPY into the tables themselves, upserts, deferred keys, soft deletes, rows that move, the nightly job: while the columns come,
    // are filled, and are required
    await adopt.run(plan, { to: 'expand', onEvent: (event) => void events.push(event) });
    const { byOperation: beforehand } = workload.stats();
    await adopt.run(null, { to: 'backfill', onEvent: (event) => void events.push(event) });
    await expect
      .poll(() => requests.filter((name) => (workload.stats().byOperation[name] ?? 0) <= (beforehand[name] ?? 0)), {
        timeout: 150_000,
      })
      .toEqual([]);
    await adopt.run(null, { to: 'tighten', onEvent: (event) => void events.push(event) });
    expect(failures).toEqual([]);
    // one that PostgreSQL refuses under policies, COPY, was changed in the application before they come
    const changed = new pg.Pool({ connectionString: shopUrl, max: 3 });
    changed.on('error', () => {});
    workload.stageCopies(true);
    await workload.deploy({ pool: changed });
    const result = await adopt.run(null, { to: 'shadow', onEvent: (event) => void events.push(event) });
    expect(failures).toEqual([]);
    // SELECT * by a named statement was refused once, and prepared again
    expect(workload.stats().preparedAgain).toBeGreaterThan(0);
    expect(result.phase).toBe('shadow');
    expect(await countWrongTenants(pool)).toEqual({});
    expect(await adopt.verify()).toEqual([]);
    expect(events.filter((event) => event.type === 'progress').length).toBeGreaterThan(5);

    // the new version of the application names its tenant; nothing else of it changed
    const tenants = new Map(
      (await db.query<{ key: string; id: string }>('select key, id from tenantry.organizations')).map((o) => [
        o.key,
        o.id,
      ]),
    );
    const appPool = createPool({ connectionString: shopUrl, max: 3 });
    await workload.deploy({
      pool: appPool,
      withShop: async (id, request) => {
        const tenantId =
          tenants.get(id) ??
          (await db.query<{ id: string }>('select id from tenantry.organizations where key = $1', [id]))[0]?.id;
        return withTenant({ tenantId: tenantId ?? '' }, request);
      },
    });
    await changed.end();
    await adopt.run(null, { to: 'enforced' });
    await new Promise((done) => setTimeout(done, 300));
    expect(failures).toEqual([]);
    expect((await adopt.status())?.phase).toBe('enforced');
    expect(await adopt.verify()).toEqual([]);

    const undone = await adopt.undo();
    const stats = await workload.stop();
    await appPool.end();
    expect(failures).toEqual([]);
    expect(stats.failed).toBe(0);
    expect(stats.requests).toBeGreaterThan(100);
    expect(await workload.countLost(pool)).toBe(0);
    expect(undone.differences).toEqual([]);
    expect(await db.query(`select table_name from tenantry.table_modes where table_schema <> 'tenantry'`)).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before.own);
    expect(ownDump(db, 'schema')).toBe(before.postgres);
    expect(await db.query('select 1 from tenantry.organizations')).toEqual([]);
  });
});
