import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createPool, type ShadowMiss, type TenantPool } from '../../src/pool/index.ts';
import { createShop, items, type Shop } from '../isolation/shop.ts';

let shop: Shop;
let pool: TenantPool;
const misses: ShadowMiss[] = [];
const asAcme = <T>(fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId: shop.acme }, fn);
const brief = (): unknown[] => misses.map(({ table, operation, rows }) => [table, operation, rows]);

beforeAll(async () => {
  shop = await createShop(items);
  await shop.isolation.shadow('items');
  pool = createPool({ connectionString: shop.db.appUrl, max: 1, onShadowMiss: (miss) => misses.push(miss) });
});
afterAll(async () => {
  await pool.end();
  await shop.drop();
});
beforeEach(() => {
  misses.length = 0;
});

describe('D4 the pool reports shadow misses', () => {
  it('says where a statement was asked for, in which context, and of which shape', async () => {
    const text = 'select id from public.items where id > $1 and id < 1000';
    await asAcme(() => pool.query(text, [5]));
    expect(misses).toMatchObject([
      {
        table: 'public.items',
        operation: 'r',
        fingerprint: 'select id from public.items where id > ? and id < ?',
        statement: text,
        values: [5],
        callSite: expect.stringMatching(/^test\/pool\/shadow\.test\.ts:\d+:\d+$/),
        context: { kind: 'tenant', tenantId: shop.acme },
      },
    ]);
  });

  it('counts the rows from the second time on, in the same round trip', async () => {
    const text = 'select count(*) from public.items';
    await asAcme(() => pool.query(text));
    expect(brief()).toEqual([['public.items', 'r', undefined]]);
    const all = await asAcme(() => pool.query(text));
    const foreign = await shop.db.query<{ n: number }>(
      'select count(*)::int n from public.items where tenant_id <> $1',
      [shop.acme],
    );
    expect(brief()[1]).toEqual(['public.items', 'r', foreign[0]?.n]);
    expect(all.rows).toHaveLength(1);
    expect(all.fields).toHaveLength(1);
  });

  it('tells the statements of a transaction apart', async () => {
    await asAcme(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query('select id from public.items where id = 15');
      await client.query('savepoint s');
      await client.query('select id from public.items where id in (15, 16)');
      await client.query('rollback to s');
      await client.query('select 1');
      await client.query('update public.items set t = t where id = 15');
      await client.query('commit');
      await client.query('select 2');
      client.release();
    });
    const reads = misses.filter((miss) => miss.operation === 'r' && miss.statement.startsWith('select'));
    expect(reads.map(({ statement, rows }) => [statement, rows])).toEqual([
      ['select id from public.items where id = 15', undefined],
      ['select id from public.items where id in (15, 16)', 3], // with the one before, which was noticed but not counted
    ]);
    expect(misses.some((miss) => miss.statement.startsWith('update') && miss.operation !== 'r')).toBe(true);
  });

  it('says nothing of a correct statement, and passes other notices on', async () => {
    await asAcme(() => pool.query('select count(*) from public.items where tenant_id = $1', [shop.acme]));
    expect(misses).toEqual([]);
    const client = await pool.connect();
    const notices: unknown[] = [];
    client.on('notice', (notice) => notices.push(notice.message));
    await asAcme(() => client.query("do $$ begin raise notice 'hello'; end $$"));
    await asAcme(() => client.query('select id from public.items'));
    client.release();
    expect(notices).toEqual(['hello']);
    expect(misses).toHaveLength(1);
  });

  it('hears of misses in texts with several statements, and of a savepoint that was rolled back', async () => {
    await asAcme(() =>
      pool.query('begin; savepoint s; select * from public.items where id = 16; rollback to s; commit'),
    );
    expect(brief()).toEqual([['public.items', 'r', undefined]]);
  });

  it('without a hook the notice is an ordinary notice', async () => {
    const plain = createPool({ connectionString: shop.db.appUrl, max: 1 });
    const client = await plain.connect();
    const notices: unknown[] = [];
    client.on('notice', (notice) => notices.push(notice.message));
    await asAcme(() => client.query('select id from public.items'));
    client.release();
    await plain.end();
    expect(notices).toEqual(['tenantry shadow public.items r']);
  });

  it('counts statements without a context, and sends them', async () => {
    const seen: unknown[] = [];
    const counting = createPool({
      connectionString: shop.db.appUrl,
      max: 1,
      missingContext: 'count',
      onMissingContext: ({ fingerprint, callSite }) => seen.push(fingerprint, callSite),
      onShadowMiss: (miss) => misses.push(miss),
    });
    const { rows } = await counting.query("select count(*)::int n from public.items where t <> 'x'");
    expect(rows[0]).not.toEqual({ n: 0 });
    expect(seen).toEqual([
      'select count(*)::int n from public.items where t <> ?',
      expect.stringContaining('shadow.test.ts'),
    ]);
    expect(misses[0]).toMatchObject({ table: 'public.items', context: undefined });
    await counting.end();
  });
});
