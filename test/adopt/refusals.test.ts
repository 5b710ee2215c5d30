import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import type { TenantryError } from '../../src/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';
import { analyzeHost } from './support/analyze.ts';
import { failure } from './support/failure.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let shop: ShopDatabase;
let before: string;
beforeAll(async () => {
  shop = await createShopDatabase(1000);
  // autovacuum would do it in the middle of a test, and a plan's comments tell numbers of rows
  await analyzeHost(shop.db);
  before = await dumpSchema(shop.db.admin);
});
afterAll(() => shop.drop());

describe('bad input changes nothing and says where it is', () => {
  const planText = async (): Promise<string> =>
    (await createAdopt({ adminPool: shop.pool }).plan({ root: 'public.shops' })).file;
  const refused = async (edit: (text: string) => string): Promise<TenantryError> => {
    const text = edit(await planText());
    return failure(createAdopt({ adminPool: shop.pool }).plan(text));
  };
  const lineOf = async (needle: string): Promise<number> =>
    (await planText()).split('\n').findIndex((line) => !line.startsWith('#') && line.includes(needle)) + 1;

  test('a plan file goes round: read back it plans the same, and an edit stays', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const first = await adopt.plan({ root: 'public.shops' });
    const second = await adopt.plan(first.file);
    expect(second.plan.steps).toEqual(first.plan.steps);
    const third = await adopt.plan(
      first.file.replace(/(public\.order_lines:\n\s+class: )owned(\n\s+via: )\[.*\]/, '$1owned$2[order_id]'),
    );
    expect(third.plan.tables.find((t) => t.table === 'public.order_lines')).toMatchObject({
      path: 'public.order_lines.order_id → public.orders.customer_id → public.customers.shop_id → public.shops',
      confidence: 'decided',
    });
    expect((await adopt.plan(third.file)).file).toBe(third.file);
  });

  test('a class that does not exist is refused with its line', async () => {
    const error = await refused((text) => text.replace(/(public\.customers:\n\s+class: )owned/, '$1mine'));
    expect(error.code).toBe('TNT_PLAN_INVALID');
    expect(error.message).toContain('tables.public.customers.class');
    expect(error.details).toEqual({ line: (await lineOf('public.customers:')) + 1 });
  });

  test('a field that does not exist is refused with its line', async () => {
    const error = await refused((text) => text.replace('\ntenant:', '\ntennant:'));
    expect(error).toMatchObject({ code: 'TNT_PLAN_INVALID', details: { line: await lineOf('tenant:') } });
    expect(error.message).toContain('tennant');
  });

  test('a key that does not exist is refused with its line and the keys that do', async () => {
    const error = await refused((text) => text.replace('via: [customer_id]', 'via: [client_id]'));
    expect(error).toMatchObject({ code: 'TNT_PLAN_INVALID', details: { line: await lineOf('via: [customer_id]') } });
    expect(error.message).toContain('"customer_id"');
  });

  test('what is not YAML is refused with its line', async () => {
    const error = await refused((text) => text.replace('version: 1', 'version: [1'));
    expect(error.code).toBe('TNT_PLAN_INVALID');
    expect(error.message).toMatch(/^Line \d+ of the plan: not YAML/);
  });

  test('root and constant together are refused', async () => {
    const error = await refused((text) => text.replace('\ntables:', '\nconstant:\n  name: System Tenant\ntables:'));
    expect(error).toMatchObject({ code: 'TNT_PLAN_INVALID' });
  });

  test('what hangs on a table that was made shared is undecided, and stops the run', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const text = (await planText()).replace(/(public\.orders:\n\s+class: )owned\n\s+via: .*/, '$1shared');
    const { plan } = await adopt.plan(text);
    const error = await failure(adopt.run(plan));
    expect(error).toMatchObject({ code: 'TNT_PLAN_UNDECIDED', exitCode: 3 });
    expect(error.message).toContain('public.payments');
    expect(await dumpSchema(shop.db.admin)).toBe(before);
  });

  test('a plan for another database is refused', async () => {
    const other = await createTestDatabase();
    try {
      await other.query('create table elsewhere (id bigint primary key)');
      const error = await failure(createAdopt({ adminPool: other.admin }).plan(await planText()));
      expect(error.code).toBe('TNT_PLAN_DRIFTED');
      expect(error.message).toContain('made for another database');
    } finally {
      await other.drop();
    }
  });

  test('a table that came after the plan stops it', async () => {
    const text = await planText();
    await shop.db.query('create table latecomer (id bigint primary key)');
    const error = await failure(createAdopt({ adminPool: shop.pool }).plan(text));
    await shop.db.query('drop table latecomer');
    expect(error).toMatchObject({ code: 'TNT_PLAN_DRIFTED', details: { unplanned: ['public.latecomer'] } });
  });

  test('run refuses while a table is undecided', async () => {
    await shop.db.query('create table feature_flags (id bigint primary key, name text)');
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const error = await failure(adopt.run(plan));
    await shop.db.query('drop table feature_flags');
    expect(error).toMatchObject({ code: 'TNT_PLAN_UNDECIDED', exitCode: 3 });
    expect(error.message).toContain('public.feature_flags');
    expect(await dumpSchema(shop.db.admin)).toBe(before);
  });

  test('a login that does not own the tables is refused before anything is changed', async () => {
    const login = `stranger_${randomBytes(4).toString('hex')}`;
    await shop.db.query(`create role ${login} login password 'stranger' in role tenantry_owner`);
    const url = new URL(shop.db.adminUrl);
    url.username = login;
    url.password = 'stranger';
    // it may read everything, but change nothing
    await shop.db.query(`grant select on all tables in schema public to ${login}`);
    const stranger = new pg.Pool({ connectionString: url.toString(), max: 4 });
    try {
      const adopt = createAdopt({ adminPool: stranger });
      const { plan } = await adopt.plan({ root: 'public.shops' });
      const error = await failure(adopt.run(plan));
      expect(error.code).toBe('TNT_PRIVILEGE_MISSING');
      expect(error.message).toContain(`${login} may not change public.`);
      expect(await adopt.status()).toBeNull();
    } finally {
      await stranger.end();
      await shop.db.query(`revoke all on all tables in schema public from ${login}`);
      await shop.db.query(`drop role ${login}`);
    }
    expect(await dumpSchema(shop.db.admin)).toBe(before);
  });

  test('there is nothing to go on with, verify or undo before a run', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    expect((await failure(adopt.run(null))).code).toBe('TNT_ADOPT_UNKNOWN');
    expect((await failure(adopt.verify())).code).toBe('TNT_ADOPT_UNKNOWN');
    expect((await failure(adopt.undo())).code).toBe('TNT_ADOPT_UNKNOWN');
  });
});

describe('a run that is held up', () => {
  test('a lock that is never granted ends in one error that names the session, and the run goes on later', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const holder = new pg.Client({ connectionString: shop.shopUrl, application_name: 'long report' });
    await holder.connect();
    await holder.query('begin');
    await holder.query('select count(*) from orders');
    const error = await failure(adopt.run(plan, { locks: { lockTimeout: 300, attempts: 8, maxPause: 20 } }));
    expect(error.code).toBe('TNT_LOCK_TIMEOUT');
    // who it is and what it did last, and that the steps before are not lost
    expect(error.message).toMatch(
      /in 8 attempts \(lock timeout\): .*process \d+ \("long report" as shop_app_\w+, idle in transaction for \d+ s since [\d:]+Z\): select /,
    );
    expect(error.hint).toBe('What is done is kept. When the named sessions are gone, repeat the command.');
    expect((await adopt.status())?.lastError).toBe(error.message);
    const done = async (): Promise<number> =>
      (
        await shop.db.query<{ n: number }>(
          `select count(*)::int as n from tenantry.adoption_steps s join tenantry.adoption_runs r on r.id = s.run_id
           where r.status = 'open' and s.status = 'done'`,
        )
      )[0]!.n;
    const kept = await done();
    expect(kept).toBeGreaterThan(0);
    await holder.query('rollback');
    await holder.end();
    const again: string[] = [];
    const result = await adopt.run(null, {
      to: 'verify',
      onEvent: (event: AdoptEvent) => void (event.type === 'step' && again.push(event.id)),
    });
    expect(result.phase).toBe('verify');
    expect(again).toHaveLength((await done()) - kept);
    expect(await countWrongTenants(shop.pool)).toEqual({});
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('Ctrl-C stops between two transactions, and the run goes on later', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const stop = new AbortController();
    const done: string[] = [];
    const error = await failure(
      adopt.run(plan, {
        signal: stop.signal,
        onEvent: (event: AdoptEvent) => {
          if (event.type === 'step') done.push(event.id);
          if (done.length === 25) stop.abort();
        },
      }),
    );
    expect(error).toMatchObject({ code: 'TNT_INTERRUPTED', exitCode: 130 });
    expect((await adopt.status())?.running).toBe(false);
    const seen: string[] = [];
    await adopt.run(null, { to: 'tighten', onEvent: (event) => void (event.type === 'step' && seen.push(event.id)) });
    // what was done is not done again, also by the table that worked beside
    const wanted = plan.steps.filter((s) => !['shadow', 'enforced'].includes(s.phase)).map((s) => s.id);
    expect([...done, ...seen].sort()).toEqual(wanted.sort());
    expect((await adopt.undo({ to: 'backfill' })).phase).toBe('backfill');
    expect((await adopt.status())?.phase).toBe('backfill');
    expect(await countWrongTenants(shop.pool)).toEqual({});
    expect((await adopt.run(null, { to: 'tighten' })).phase).toBe('tighten');
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(shop.db.admin)).toBe(before);
  });

  test('two runners at once: one works, the other is told', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const other = new pg.Pool({ connectionString: shop.db.adminUrl, max: 4 });
    const second = createAdopt({ adminPool: other });
    const outcomes = await Promise.allSettled([adopt.run(plan, { to: 'verify' }), second.run(plan, { to: 'verify' })]);
    await other.end();
    expect(outcomes.filter((o) => o.status === 'fulfilled').length).toBe(1);
    const lost = outcomes.find((o) => o.status === 'rejected');
    expect(lost?.reason).toMatchObject({ code: 'TNT_ADOPT_RUNNING' });
    expect(
      await shop.db.query('select count(*)::int as open from tenantry.adoption_runs where status = $1', ['open']),
    ).toEqual([{ open: 1 }]);
    expect(await adopt.verify()).toEqual([]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('an index that a failed try left invalid is made again', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'verify' });
    const holder = new pg.Client({ connectionString: shop.shopUrl });
    await holder.connect();
    await holder.query('begin; update customers set city = city where id = 1');
    const locks = { concurrentLockTimeout: 50, attempts: 3 };
    const error = await failure(adopt.run(null, { to: 'tighten', locks }));
    expect(error.code).toBe('TNT_LOCK_TIMEOUT');
    const invalid = 'select x.indexrelid::regclass::text as index from pg_index x where not x.indisvalid';
    expect(await shop.db.query(invalid)).toEqual([{ index: 'customers_tenant_id_idx' }]);
    await holder.query('commit');
    await holder.end();
    expect((await adopt.run(null, { to: 'tighten' })).phase).toBe('tighten');
    expect(await shop.db.query(invalid)).toEqual([]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('a transaction that is older than the adoption writes a row that finds no tenant, and the row gets it before NOT NULL', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const old = new pg.Client({ connectionString: shop.shopUrl });
    await old.connect();
    await old.query('begin isolation level repeatable read; select 1');
    await adopt.run(plan, { to: 'verify' });
    await old.query(
      `insert into customers (shop_id, country, email, name, city) values (1, 'DE', 'late@example.com', 'Late', 'Kiel')`,
    );
    await old.query('commit');
    await old.end();
    expect(await shop.db.query('select email from customers where tenant_id is null')).toEqual([
      { email: 'late@example.com' },
    ]);
    expect((await adopt.run(null, { to: 'tighten' })).phase).toBe('tighten');
    expect(await countWrongTenants(shop.pool)).toEqual({});
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('another plan is refused while an adoption is open', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan, file } = await adopt.plan({ root: 'public.shops' });
    const constant = await adopt.plan({ constant: 'System Tenant' });
    await adopt.run(plan, { to: 'expand' });
    expect((await failure(adopt.run(constant.plan))).code).toBe('TNT_PLAN_DRIFTED');
    expect((await failure(adopt.plan({ constant: 'System Tenant' }))).code).toBe('TNT_PLAN_DRIFTED');
    // its own plan file is still its own, though the catalogue shows our columns by now
    const again = await adopt.plan(file);
    expect((await adopt.run(again.plan, { to: 'backfill' })).phase).toBe('backfill');
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('rows that contradict each other after the plan was made stop verification, with their keys', async () => {
    const adopt = createAdopt({ adminPool: shop.pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'backfill' });
    // the old application gives an order of the first shop a line of another shop's product
    const [row] = await shop.db.query<{ order_id: string; line: number; product_id: string }>(
      `select l.order_id::text as order_id, l.line, p.id::text as product_id from order_lines l join orders o on o.id = l.order_id
       join customers c on c.id = o.customer_id join products p on p.shop_id <> c.shop_id limit 1`,
    );
    const old = await shop.db.query(
      'update order_lines set product_id = $3 where order_id = $1 and line = $2 returning 1',
      [row?.order_id, row?.line, row?.product_id],
    );
    expect(old.length).toBe(1);
    const error = await failure(adopt.run(null));
    expect(error).toMatchObject({ code: 'TNT_ADOPT_VERIFY_FAILED', exitCode: 3 });
    expect(error.details).toMatchObject({
      findings: [{ table: 'public.order_lines', rows: 1, keys: [`${row?.order_id}:${row?.line}`] }],
    });
    expect((await adopt.undo()).differences).toEqual([]);
    // and the next plan finds it before anything is changed
    const conflicted = await adopt.plan({ root: 'public.shops' });
    expect(conflicted.conflicts).toMatchObject([
      { table: 'public.order_lines', rows: 1, keys: [`(${row?.order_id},${row?.line})`] },
    ]);
    expect((await failure(adopt.run(conflicted.plan))).code).toBe('TNT_ADOPT_CONFLICTS');
    await shop.db.query('delete from order_lines where order_id = $1 and line = $2', [row?.order_id, row?.line]);
  });
});

describe('a table that hangs on nothing', () => {
  let empty: TestDatabase;
  beforeAll(async () => {
    empty = await createTestDatabase();
  });
  afterAll(() => empty.drop());

  test('an unknown root, and one without a primary key, are refused', async () => {
    await empty.query('create table heap (name text)');
    const adopt = createAdopt({ adminPool: empty.admin });
    expect((await failure(adopt.plan({ root: 'public.nothing' }))).message).toContain(
      'public.nothing is not in database',
    );
    expect((await failure(adopt.plan({ root: 'public.heap' }))).message).toContain('no primary key');
    expect((await failure(adopt.plan({}))).message).toContain('no root table and no constant');
  });
});
