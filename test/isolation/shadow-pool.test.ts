import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { copyRows, createShadowRecorder, type ShadowRecorder } from '../../src/isolation/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createShop, items, plainPool, type Shop } from './shop.ts';

let shop: Shop;
let plain: Pool;
let recorder: ShadowRecorder;
let pool: TenantPool;

beforeAll(async () => {
  shop = await createShop(items);
  await shop.isolation.shadow('items');
  plain = plainPool(shop.db.appUrl, 2);
  recorder = createShadowRecorder({ database: plain, compareOn: plain });
  pool = createPool({
    connectionString: shop.db.appUrl,
    max: 4,
    missingContext: 'count',
    onShadowMiss: recorder.onShadowMiss,
    onMissingContext: recorder.onMissingContext,
  });
  pool.on('error', () => {});
});
afterAll(async () => {
  await pool.end();
  await recorder.close();
  await plain.end();
  await shop.drop();
});

const report = async () => {
  await recorder.flush();
  return shop.isolation.shadowReport({ table: 'items' });
};
const asAcme = <T>(fn: () => Promise<T>): Promise<T> => withTenant({ tenantId: shop.acme }, fn);

describe('D4 shadow through the pool: found, judged, fixed, enforced', () => {
  it('a forgotten WHERE is found with its call site, its tenant and its rows, and confirmed', async () => {
    for (let i = 0; i < 3; i += 1) {
      const { rows } = await asAcme(() => pool.query('select * from public.items where t like $1', ['t1%']));
      expect(rows).toHaveLength(11);
    }
    const [found, ...more] = await report();
    expect(more).toEqual([]);
    expect(found).toMatchObject({
      table: 'public.items',
      operation: 'select',
      status: 'confirmed',
      tenantId: shop.acme,
      occurrences: 3,
      statement: 'select * from public.items where t like ?',
    });
    expect(found?.callSite).toContain('shadow-pool.test.ts');
    expect(found?.rows).toBeGreaterThanOrEqual(3);
  });

  it('a read that only examines foreign rows is told apart, and a statement with a WHERE is not there', async () => {
    await asAcme(() =>
      pool.query('select count(*) from public.items where t like $1 and tenant_id = $2', ['t5%', shop.acme]),
    );
    await asAcme(() => pool.query("select max(id) from public.items where t like 't5%'"));
    const statements = (await report()).map(({ status, statement }) => `${status}: ${statement}`);
    expect(statements).toContain('examined: select max(id) from public.items where t like ?');
    expect(statements.join('\n')).not.toContain('tenant_id');
  });

  it('writes of foreign rows are confirmed, in a transaction too', async () => {
    await asAcme(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query("update public.items set t = 'x' where id = 15");
      await client.query('delete from public.items where id = 16');
      await client.query('rollback');
      client.release();
    });
    const confirmed = (await report()).filter(({ status }) => status === 'confirmed').map(({ operation }) => operation);
    expect(new Set(confirmed)).toEqual(new Set(['select', 'update', 'delete']));
  });

  it('a statement without any context is counted with tenant null', async () => {
    expect((await pool.query('select count(*)::int as n from public.items')).rows).toEqual([{ n: 30 }]);
    const without = (await report()).filter(({ tenantId }) => tenantId === null);
    expect(without).toMatchObject([{ operation: 'select', status: 'confirmed', occurrences: 1 }]);
  });

  it('the gate stays shut until a window is clean, and then the same statements answer for one tenant', async () => {
    await expect(shop.isolation.enforce('items')).rejects.toMatchObject({ code: 'TNT_SHADOW_NOT_CLEAN' });
    await shop.isolation.off('items');
    await shop.isolation.shadow('items');
    await asAcme(() => pool.query('select * from public.items where tenant_id = $1', [shop.acme]));
    expect(await report()).toEqual([]);
    await shop.isolation.enforce('items');
    expect((await asAcme(() => pool.query('select * from public.items where t like $1', ['t1%']))).rows).toHaveLength(
      2,
    );
    expect((await asAcme(() => pool.query('select * from public.items where id = 15'))).rows).toEqual([]);
    expect((await pool.query('select * from public.items')).rows).toEqual([]);
  });

  it('copyRows writes through the pool, as the tenant of the call', async () => {
    const rows = Array.from({ length: 50 }, (_, i) => [1000 + i, shop.acme, `c${i}`]);
    expect(await asAcme(() => copyRows(pool, 'items', rows, { batch: 20 }))).toBe(50);
    expect(
      (await asAcme(() => pool.query('select count(*)::int as n from public.items where id >= 1000'))).rows,
    ).toEqual([{ n: 50 }]);
  });
});
