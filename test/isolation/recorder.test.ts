import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TenantId, UserId } from '../../src/context/types.ts';
import { compareRead } from '../../src/isolation/compare.ts';
import { createShadowRecorder, type MissLike } from '../../src/isolation/index.ts';
import { createShop, items, plainPool, type Shop } from './shop.ts';

let shop: Shop;
let plain: Pool;

beforeAll(async () => {
  shop = await createShop(`${items}
    create table public.log (id int generated always as identity, note text);
    create function public.noted(t text) returns text language plpgsql as $$ begin insert into public.log (note) values (t); return t; end $$;
    grant insert, select on public.log to public;`);
  await shop.isolation.shadow('items');
  plain = plainPool(shop.db.appUrl, 2);
});
afterAll(async () => {
  await plain.end();
  await shop.drop();
});
beforeEach(async () => {
  await shop.db.query('delete from tenantry.shadow_misses');
});

const acme = () => ({ kind: 'tenant' as const, tenantId: shop.acme as TenantId });

function miss(statement: string, more: Partial<MissLike> = {}): MissLike {
  return {
    table: 'public.items',
    operation: 'r',
    rows: 20,
    fingerprint: statement.toLowerCase().replaceAll(/\$?\d+|'[^']*'/g, '?'),
    statement,
    callSite: 'src/orders.ts:41',
    context: acme(),
    ...more,
  };
}

const recorded = () =>
  shop.db.query(
    'select operation, status, "rows"::int, occurrences::int, call_site, tenant_id, statement from tenantry.shadow_misses order by occurrences desc, statement',
  );

describe('D4 the shadow report: fingerprint, call site, operation, tenant, table, rows, verdict', () => {
  it('adds up what it is told and writes it as the unprivileged login, without values', async () => {
    const recorder = createShadowRecorder({ database: plain, compareOn: plain });
    for (let i = 0; i < 3; i += 1) recorder.onShadowMiss(miss('select * from public.items where id > 5'));
    recorder.onShadowMiss(
      miss('select * from public.items where id > 7', {
        context: { ...acme(), tenantId: shop.bolt as TenantId },
        rows: undefined,
      }),
    );
    await recorder.flush();
    recorder.onShadowMiss(miss('select * from public.items where id > 5'));
    await recorder.close();
    expect(await recorded()).toEqual([
      {
        operation: 'select',
        status: 'confirmed',
        rows: 80,
        occurrences: 4,
        call_site: 'src/orders.ts:41',
        tenant_id: shop.acme,
        statement: 'select * from public.items where id > ?',
      },
      {
        operation: 'select',
        status: 'confirmed',
        rows: 1,
        occurrences: 1,
        call_site: 'src/orders.ts:41',
        tenant_id: shop.bolt,
        statement: 'select * from public.items where id > ?',
      },
    ]);
    const report = await shop.isolation.shadowReport({ table: 'items', status: 'confirmed', limit: 1 });
    expect(report).toMatchObject([
      {
        table: 'public.items',
        operation: 'select',
        occurrences: 4,
        rows: 80,
        tenantId: shop.acme,
        callSite: 'src/orders.ts:41',
      },
    ]);
    expect(report[0]?.lastSeen).toBeInstanceOf(Date);
    expect(await shop.isolation.shadowReport({ since: new Date(Date.now() + 60_000) })).toEqual([]);
  });

  it('tells apart a read that answers differently under enforcement and one that only examines foreign rows', async () => {
    const verdict = (statement: string, values: unknown[] = []) =>
      compareRead(plain, { statement, values, context: acme() });
    expect(await verdict('select * from public.items')).toBe('confirmed');
    expect(await verdict("select * from public.items where t like 't15%'")).toBe('confirmed');
    expect(await verdict("select * from public.items where t like 't5%';")).toBe('examined');
    expect(await verdict('select count(*) from public.items where id = $1 -- by key', [15])).toBe('confirmed');
    expect(await verdict('select id, id, t from public.items where t = $1', ['t3'])).toBe('examined');
    expect(await verdict('/* list */ (select id from public.items order by id limit 5)')).toBe('examined');
    expect(await verdict('with x as (select * from public.items) select max(id) from x')).toBe('confirmed');
    expect(await compareRead(plain, { statement: 'select 1 from public.items', context: undefined })).toBe('confirmed');
    expect(await compareRead(plain, { statement: 'select 1 where false', context: undefined })).toBe('examined');
  });

  it('leaves unconfirmed what cannot be compared, and changes nothing by trying', async () => {
    const verdict = (statement: string, values: unknown[] = []) =>
      compareRead(plain, { statement, values, context: acme() }, { timeout: 200 });
    expect(await verdict('select * from public.items where id = $1')).toBe('unconfirmed'); // no values
    expect(await verdict('select public.noted(t) from public.items')).toBe('unconfirmed'); // writes
    expect(await verdict('select random() from public.items')).toBe('unconfirmed'); // differs each time
    expect(await verdict('select pg_sleep(5)')).toBe('unconfirmed'); // too long
    expect(await verdict('select * from public.items for update')).toBe('unconfirmed');
    expect(await verdict('select 1; delete from public.items')).toBe('unconfirmed');
    expect(await verdict('select 1) select 2; delete from public.items; with x as (select 1')).toBe('unconfirmed');
    expect(await verdict("delete from public.items where t = 't1'")).toBe('unconfirmed');
    expect(
      await shop.db.query(
        'select (select count(*)::int from public.items) as items, (select count(*)::int from public.log) as log',
      ),
    ).toEqual([{ items: 30, log: 0 }]);
    const unreachable = plainPool(shop.db.appUrl.replace(/:\d+\//, ':1/'), 1);
    expect(await compareRead(unreachable, { statement: 'select 1', context: undefined })).toBe('unconfirmed');
    await unreachable.end();
  });

  it('confirms a write as it is, and compares a read again at its tenth miss', async () => {
    const recorder = createShadowRecorder({ database: plain, compareOn: plain });
    recorder.onShadowMiss(miss('update public.items set t = t where id = 15', { operation: 'w', rows: 1 }));
    recorder.onShadowMiss(miss('delete from public.items where id = 15', { operation: 'd', rows: 1 }));
    recorder.onShadowMiss(
      miss(`insert into public.items values (77, '${shop.bolt}', 'x')`, { operation: 'i', rows: 1 }),
    );
    const like = 'select * from public.items where t like $1';
    for (let i = 0; i < 9; i += 1) recorder.onShadowMiss(miss(like, { values: ['t5%'] }));
    await recorder.flush();
    const status = async () =>
      (await recorded()).map(({ operation, status }) => `${String(operation)} ${String(status)}`).sort();
    expect(await status()).toEqual(['delete confirmed', 'insert confirmed', 'select examined', 'update confirmed']);
    recorder.onShadowMiss(miss(like, { values: ['t15%'] }));
    await recorder.close();
    expect(await status()).toEqual(['delete confirmed', 'insert confirmed', 'select confirmed', 'update confirmed']);
  });

  it('without a connection to compare on, reads stay unconfirmed', async () => {
    const recorder = createShadowRecorder({ database: plain });
    recorder.onShadowMiss(miss('select * from public.items'));
    await recorder.close();
    expect(await recorded()).toMatchObject([{ status: 'unconfirmed' }]);
  });

  it('notes statements without a context, whose table nobody knows', async () => {
    const recorder = createShadowRecorder({ database: plain });
    recorder.onMissingContext({
      fingerprint: 'update jobs set done = ?',
      statement: 'update jobs set done = true',
      callSite: undefined,
    });
    recorder.onShadowMiss(miss('select * from public.items', { context: undefined }));
    await recorder.close();
    expect(await recorded()).toMatchObject([
      { operation: 'select', tenant_id: null },
      { operation: 'update', tenant_id: null, call_site: '', statement: 'update jobs set done = ?' },
    ]);
    expect((await shop.isolation.shadowReport()).map(({ table }) => table).sort()).toEqual(['', 'public.items']);
  });

  it('is bounded: beyond its limit it drops detail and not the count', async () => {
    const recorder = createShadowRecorder({ database: plain, limit: 5 });
    for (let i = 0; i < 100; i += 1)
      recorder.onShadowMiss(miss(`select c${i} from public.items`, { fingerprint: `select c${i} from public.items` }));
    await recorder.close();
    const [sum] = await shop.db.query(
      'select count(*)::int as kinds, sum(occurrences)::int as occurrences, sum("rows")::int as "rows" from tenantry.shadow_misses',
    );
    expect(sum).toEqual({ kinds: 6, occurrences: 100, rows: 2000 });
  });

  it('forgets old verdicts before its memory grows, and takes an operation it does not know for a read', async () => {
    const recorder = createShadowRecorder({ database: plain, compareOn: plain, limit: 2 });
    for (const n of [1, 2, 3, 4, 5, 6])
      recorder.onShadowMiss(miss(`select c${n} from public.items`, { operation: '?', fingerprint: `f${n}` }));
    await recorder.close();
    expect((await recorded()).reduce((sum, { occurrences }) => sum + Number(occurrences), 0)).toBe(6);
    const user = { kind: 'user' as const, userId: shop.acme as UserId };
    expect(await compareRead(plain, { statement: "select current_setting('app.user_id')", context: user })).toBe(
      'examined',
    );
    const system = { kind: 'system' as const, reason: 'start' };
    expect(await compareRead(plain, { statement: 'select count(*) from public.items', context: system })).toBe(
      'confirmed',
    );
  });

  it('without anybody to tell, a failed write is silent and kept', async () => {
    const recorder = createShadowRecorder({
      database: { query: () => Promise.reject(new Error('gone')) },
      flushEvery: 1,
    });
    recorder.onShadowMiss(miss('select * from public.items'));
    await new Promise((done) => setTimeout(done, 20));
    await expect(recorder.close()).rejects.toThrow('gone');
  });

  it('keeps what it could not write for the next time, and never throws at the query', async () => {
    let broken = true;
    const errors: unknown[] = [];
    const recorder = createShadowRecorder({
      database: {
        query: (text, values) =>
          (broken ? Promise.reject(new Error('connection lost')) : plain.query(text, values as unknown[])) as never,
      },
      flushEvery: 20,
      onError: (error) => errors.push(error),
    });
    recorder.onShadowMiss(miss('select * from public.items'));
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    recorder.onShadowMiss(miss('select * from public.items'));
    broken = false;
    await recorder.close();
    expect(await recorded()).toMatchObject([{ occurrences: 2 }]);
  });

  it('many recorders of many processes add to the same rows', async () => {
    const recorders = Array.from({ length: 6 }, () => createShadowRecorder({ database: plain }));
    await Promise.all(
      recorders.map(async (recorder) => {
        for (let i = 0; i < 50; i += 1) recorder.onShadowMiss(miss(`select * from public.items where id = ${i % 5}`));
        await recorder.close();
      }),
    );
    expect(await recorded()).toMatchObject([{ occurrences: 300 }]);
  });
});

describe('the gate to enforce', () => {
  it('TNT_SHADOW_NOT_CLEAN while a statement would change; open when only examined; a later window; --force', async () => {
    const recorder = createShadowRecorder({ database: plain, compareOn: plain });
    recorder.onShadowMiss(miss("select * from public.items where t like 't5%'"));
    await recorder.flush();
    expect((await shop.isolation.enforce('items')).to).toBe('enforced');
    await shop.isolation.shadow('items');
    recorder.onShadowMiss(miss('select * from public.items'));
    await recorder.close();
    const refused = await shop.isolation.enforce('items').catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'TNT_SHADOW_NOT_CLEAN',
      exitCode: 3,
      details: { misses: [{ status: 'confirmed', statements: 1, occurrences: 1 }] },
    });
    expect((await shop.isolation.status())[0]).toMatchObject({ mode: 'shadow', misses: { confirmed: 1 }, drift: [] });
    expect((await shop.isolation.enforce('items', { since: new Date(Date.now() + 1000) })).to).toBe('enforced');
    await shop.isolation.off('items');
    await shop.isolation.shadow('items'); // a new rehearsal begins with a clean window
    expect((await shop.isolation.enforce('items')).to).toBe('enforced');
    await shop.isolation.shadow('items');
    await shop.db.query("update tenantry.shadow_misses set last_seen = now() + interval '1 second'");
    await expect(shop.isolation.enforce('items')).rejects.toMatchObject({ code: 'TNT_SHADOW_NOT_CLEAN' });
    expect((await shop.isolation.enforce('items', { force: true })).to).toBe('enforced');
    await shop.isolation.shadow('items');
  });

  it('a read that nobody compared counts as one that would change', async () => {
    const recorder = createShadowRecorder({ database: plain });
    recorder.onShadowMiss(miss('select * from public.items'));
    await recorder.close();
    await expect(shop.isolation.enforce('items')).rejects.toMatchObject({ code: 'TNT_SHADOW_NOT_CLEAN' });
  });
});
