import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { startWorkload } from '../../src/adopt/sample/index.ts';
import { withTenant } from '../../src/context/index.ts';
import { createPool } from '../../src/pool/index.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let shop: ShopDatabase;
beforeAll(async () => {
  shop = await createShopDatabase(2000);
});
afterAll(() => shop.drop());

const pgDump = '/usr/lib/postgresql/15/bin/pg_dump';
/** The host's schema as PostgreSQL's own tool prints it; undefined where there is none for the server's version. */
function dumpByPostgres(): string | undefined {
  if (shop.db.version !== 15 || !existsSync(pgDump)) return undefined;
  const text = execFileSync(pgDump, ['--schema-only', '--schema=public', shop.db.adminUrl], { encoding: 'utf8' });
  return text.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

describe('the sample shop from inspection to enforcement and back, while its old application works', () => {
  test('E2, E3, E5, F2: every row gets the tenant that its keys say, no statement fails and none is lost', async () => {
    const { db, pool, shopUrl } = shop;
    const before = { own: await dumpSchema(db.admin), postgres: dumpByPostgres() };
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
      onError: (error, operation) => failures.push([operation, error]),
    });
    const events: AdoptEvent[] = [];
    const result = await adopt.run(plan, { to: 'shadow', onEvent: (event) => void events.push(event) });
    expect(failures).toEqual([]);
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
    await adopt.run(plan, { to: 'enforced' });
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
    expect(dumpByPostgres()).toBe(before.postgres);
    expect(await db.query('select 1 from tenantry.organizations')).toEqual([]);
  });
});
