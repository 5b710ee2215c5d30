import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt, readMaxLag, readWindow } from '../../src/adopt/index.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';
import { failure } from './support/failure.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let shop: ShopDatabase;
beforeAll(async () => {
  shop = await createShopDatabase(2000);
});
afterEach(async () => {
  const adopt = createAdopt({ adminPool: shop.pool });
  if ((await adopt.status())?.status === 'open') expect((await adopt.undo()).differences).toEqual([]);
});
afterAll(() => shop.drop());

describe('a run that is held back', () => {
  test('pause stops the process that runs, none begins until resume, and it goes on where it was', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const somebodyElse = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    let asked = false;
    const onEvent = async (event: AdoptEvent): Promise<void> => {
      if (event.type !== 'progress' || event.phase !== 'backfill' || asked) return;
      asked = true;
      expect(await somebodyElse.pause()).toEqual({ running: true });
    };
    // without a pause it would end by itself
    const error = await failure(adopt.run(plan, { to: 'verify', onEvent, throttle: () => (asked ? 20_000 : 0) }));
    expect(error).toMatchObject({ code: 'TNT_ADOPT_PAUSED', exitCode: 1 });
    const status = await adopt.status();
    expect(status).toMatchObject({ running: false, lastError: null, status: 'open' });
    expect(status?.pausedAt).toBeInstanceOf(Date);
    const refused = await failure(adopt.run(null));
    expect(refused.code).toBe('TNT_ADOPT_PAUSED');
    expect(refused.hint).toContain('tenantry adopt resume');
    await adopt.resume();
    expect((await adopt.status())?.pausedAt).toBeNull();
    expect((await adopt.run(null, { to: 'backfill' })).phase).toBe('backfill');
    await adopt.pause();
    expect((await adopt.run(null, { to: 'verify', resume: true })).phase).toBe('verify');
    expect(await countWrongTenants(shop.pool)).toEqual({});
  });

  test('outside its hours it sleeps, says until when and in which time zone, and stays resumable', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const [hours] = await shop.db.query<{ from: string; to: string; now: Date }>(
      `select to_char(now() at time zone 'Asia/Tokyo' + interval '2 hours', 'HH24:MI') as from,
              to_char(now() at time zone 'Asia/Tokyo' + interval '5 hours', 'HH24:MI') as to, now() as now`,
    );
    const stop = new AbortController();
    const told: Extract<AdoptEvent, { type: 'waiting' }>[] = [];
    const error = await failure(
      adopt.run(plan, {
        window: readWindow(`${hours?.from}-${hours?.to}`, 'Asia/Tokyo'),
        signal: stop.signal,
        onEvent(event) {
          if (event.type !== 'waiting') return;
          told.push(event);
          stop.abort();
        },
      }),
    );
    expect(error.code).toBe('TNT_INTERRUPTED');
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ reason: 'window' });
    expect(told[0]?.message).toContain(`outside ${hours?.from}-${hours?.to} (Asia/Tokyo): sleeps until`);
    const ahead = ((told[0]?.until?.getTime() ?? 0) - (hours?.now.getTime() ?? 0)) / 3_600_000;
    expect(ahead).toBeGreaterThan(1.9);
    expect(ahead).toBeLessThan(2.1);
    expect(await adopt.status()).toMatchObject({ phase: 'preflight', running: false, status: 'open' });
    // inside them it works: from an hour ago to an hour ahead, by the server's own time zone
    const [now] = await shop.db.query<{ from: string; to: string }>(
      `select to_char(localtime - interval '1 hour', 'HH24:MI') as from, to_char(localtime + interval '1 hour', 'HH24:MI') as to`,
    );
    const result = await adopt.run(null, { to: 'backfill', window: readWindow(`${now?.from}-${now?.to}`) });
    expect(result.phase).toBe('backfill');
  });

  test('hours, time zones and lags that make no sense are refused before anything begins', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    expect(() => readWindow('22-6')).toThrow('as 22:00-06:00');
    expect(() => readWindow('25:00-06:00')).toThrow('as 22:00-06:00');
    expect(() => readMaxLag('fast')).toThrow('5s, 500ms, 16MB');
    expect([readMaxLag('5s'), readMaxLag('1.5MB'), readMaxLag('off')]).toEqual([
      { seconds: 5 },
      { bytes: 1572864 },
      {},
    ]);
    const error = await failure(adopt.run(plan, { window: readWindow('22:00-06:00', 'Mars/Base') }));
    expect(error.code).toBe('TNT_USAGE');
    expect(error.message).toContain('Mars/Base');
    expect((await adopt.status())?.status).not.toBe('open');
  });

  test('a rate is kept over all tables together', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    const before = (await adopt.run(null, { to: 'expand' })).rows;
    const { rows, seconds } = await adopt.run(null, { to: 'backfill', maxRate: 2000 });
    // the last batch is not waited for
    expect(seconds).toBeGreaterThan(((rows - before) / 2000) * 0.5);
  });
});

describe('tables at once', () => {
  test('two tables are filled at the same time, and none before its parents', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const parents = new Map(plan.tables.map((t) => [t.table, t.via.map((key) => key.parent)]));
    const filled = new Set(['public.shops']);
    const open = new Set<string>();
    let most = 0;
    const run = (parallel: number, to: 'backfill' | 'expand') =>
      adopt.run(null, {
        to,
        parallel,
        throttle: ({ table }) => {
          for (const parent of parents.get(table) ?? []) expect(filled).toContain(parent);
          open.add(table);
          most = Math.max(most, open.size);
          return 5;
        },
        onEvent(event) {
          if (event.type !== 'step' || !/\/(rows|rest)$/.test(event.id)) return;
          open.delete(event.table ?? '');
          filled.add(event.table ?? '');
        },
      });
    await adopt.run(plan, { to: 'expand' });
    await run(2, 'backfill');
    expect(most).toBe(2);
    await adopt.undo({ to: 'expand' });
    expect(filled.size).toBe(plan.order.length);
    filled.clear();
    filled.add('public.shops');
    most = 0;
    await run(1, 'backfill');
    expect(most).toBe(1);
    expect(await countWrongTenants(shop.pool)).toEqual({});
  });

  test('a table that fails stops the others, and the run goes on later', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    await shop.db.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$;
       create trigger refuse before update of tenant_id on customers for each row execute function refuse()`,
    );
    const error = await failure(adopt.run(null, { to: 'backfill' }));
    expect(error.code).toBe('TNT_DISK_FULL');
    expect((await adopt.status())?.running).toBe(false);
    await shop.db.query('drop trigger refuse on customers; drop function refuse()');
    expect((await adopt.run(null, { to: 'verify' })).phase).toBe('verify');
    expect(await countWrongTenants(shop.pool)).toEqual({});
  });
});

describe('who waits for whom', () => {
  test('while a step cannot get its lock, events, status and SQL name the session in the way, and no value of its statement', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const holder = new pg.Client({ connectionString: shop.shopUrl, application_name: 'month end' });
    await holder.connect();
    const seen: Extract<AdoptEvent, { type: 'lock' }>[] = [];
    let status: Awaited<ReturnType<typeof adopt.status>> = null;
    let rows: Record<string, unknown>[] = [];
    const operator = new pg.Client({ connectionString: shop.db.operatorUrl });
    await operator.connect();
    // the operators' logins inherit nothing: they say as whom they act
    await operator.query('set role tenantry_operator');
    await adopt.run(plan, {
      to: 'backfill',
      onEvent: async (event) => {
        if (event.type === 'step' && event.id === 'expand/public.stock_moves/triggers')
          await holder.query(`begin; update orders set status = 'held by 4711' where id = 1`);
        if (event.type !== 'lock' || event.blockers.length === 0 || seen.length > 0) return;
        seen.push(event);
        status = await adopt.status();
        rows = (
          await operator.query(
            `select s.running, s.waiting_for as of_run, p.waiting_for as of_step, p.status, p.table_name
             from tenantry.adoption_status s join tenantry.adoption_progress p using (run_id) where p.waiting_for is not null`,
          )
        ).rows;
        await holder.query('rollback');
      },
    });
    await holder.end();
    expect(seen).toHaveLength(1);
    const [event] = seen;
    expect(event).toMatchObject({ id: 'backfill/public.orders/rows', outcome: 'lock timeout' });
    expect(event?.sessions).toMatchObject([
      {
        application: 'month end',
        login: shop.shopLogin,
        state: 'idle in transaction',
        since: expect.any(Date) as Date,
      },
    ]);
    const line = event?.blockers[0] ?? '';
    expect(line).toMatch(
      /^process \d+ \("month end" as shop_app_\w+, idle in transaction for \d+ s since [\d:]+Z\): begin/,
    );
    expect(line).not.toContain('4711');
    expect(status).toMatchObject({ waiting: [{ step: 'backfill/public.orders/rows', blockers: [line] }] });
    expect(rows).toEqual([
      {
        running: true,
        of_run: { 'backfill/public.orders/rows': [line] },
        of_step: [line],
        status: 'running',
        table_name: 'public.orders',
      },
    ]);
    // over: nobody waits any more, and the progress is complete
    expect((await adopt.status())?.waiting).toEqual([]);
    const { rows: progress } = await operator.query(
      `select p.table_name, p.status, p.rows = p.total as complete, p.part, p.eta, p.waiting_for, p.rows > 0 as some
       from tenantry.adoption_progress p join tenantry.adoption_status s using (run_id) where s.status = 'open' and p.table_name = 'public.orders'`,
    );
    await operator.end();
    expect(progress).toEqual([
      {
        table_name: 'public.orders',
        status: 'done',
        complete: true,
        part: 1,
        eta: null,
        waiting_for: null,
        some: true,
      },
    ]);
  });
});
