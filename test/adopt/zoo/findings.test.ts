import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, writePlanFile } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { failure } from '../support/failure.ts';
import { analyzeHost } from '../support/analyze.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const zoo = (name: string): string => readFileSync(fileURLToPath(new URL(`./${name}.sql`, import.meta.url)), 'utf8');

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

/** Everything in a schema of its own, so that one database serves all tests. */
async function inSchema(name: string, sql: string): Promise<void> {
  await db.query(
    `drop schema if exists ${name} cascade; create schema ${name}; set search_path = ${name}; ${sql}; reset search_path`,
  );
}
const drop = (name: string): Promise<unknown> => db.query(`drop schema ${name} cascade`);

describe('references without a constraint', () => {
  test('are offered and never assumed: without them run stops, names every undecided table and says what to write', async () => {
    await inSchema('app', zoo('undeclared-references'));
    await analyzeHost(db);
    const adopt = createAdopt({ adminPool: pool });
    // no foreign key at all, as a schema that came from MySQL: a root is proposed all the same, with the reason
    const { roots, inspection } = await adopt.inspect();
    expect(inspection.foreignKeys).toEqual([]);
    expect(roots[0]).toMatchObject({ table: 'app.accounts', reaches: 6 });
    expect(roots[0]?.reasons[1]).toBe(
      '6 more do by columns that no constraint declares, found by name and verified by data (app.categories, app.invoices, app.meters, app.order_items, …): confirm them under references',
    );
    const { plan, file } = await adopt.plan({ root: 'app.accounts' });
    expect(plan.tables.filter((table) => table.class === 'undecided').map((table) => table.name)).toEqual([
      'categories',
      'invoices',
      'meters',
      'order_items',
      'orders',
      'users',
    ]);
    expect(file).toContain('#   - {from: "app.users(account_id)", to: "app.accounts(id)"}');
    // none of its values is an account, so the name was a coincidence
    expect(file).not.toContain('app.meters(account_key)');
    const error = await failure(adopt.run(plan));
    expect(error.code).toBe('TNT_PLAN_UNDECIDED');
    for (const name of ['categories', 'invoices', 'meters', 'order_items', 'orders', 'users'])
      expect(error.message).toContain(`app.${name} (`);
    expect(error.hint).toContain('app.users(account_id)');
    expect(error.hint).toContain('class: shared');
    expect(await adopt.status()).toBeNull();

    // what the file offers, uncommented, is enough
    const lines = file.split('\n');
    const from = lines.findIndex((line) => line.trim() === '# references:');
    const text = lines
      .map((line, i) => (i >= from && line.startsWith('#') ? line.replace(/^# ?/, '') : line))
      .join('\n');
    const confirmed = await adopt.plan(text);
    expect(confirmed.plan.tables.filter((table) => table.class === 'undecided')).toEqual([]);
    expect(confirmed.plan.offers).toEqual([]);
    expect(writePlanFile(confirmed.plan)).toBe(confirmed.file);
    const findings = await adopt.preflight(confirmed.plan);
    expect(findings.filter((finding) => finding.code === 'reference-without-constraint').map((f) => f.level)).toContain(
      'warning',
    );
    await drop('app');
  });

  test('rows that lead nowhere stop the run until somebody decides about them', async () => {
    await inSchema('app', zoo('orphaned-references'));
    const adopt = createAdopt({ adminPool: pool });
    const { plan, conflicts } = await adopt.plan({
      root: 'app.stores',
      references: [{ from: 'app.order_notes(order_id)', to: 'app.orders(id)' }],
    });
    expect(conflicts.map(({ table, kind, rows }) => [table, kind, rows])).toEqual([
      ['app.order_notes', 'no tenant', 6],
    ]);
    expect((await failure(adopt.run(plan))).code).toBe('TNT_ADOPT_CONFLICTS');
    expect(await adopt.status()).toBeNull();
    await drop('app');
  });

  test('a table that the login may not read costs its answer alone', async () => {
    await inSchema(
      'app',
      'create table owners (id int primary key); create table pets (id int primary key, owner_id int)',
    );
    await db.query('revoke select on app.owners from tenantry_admin');
    const { references } = await createAdopt({ adminPool: pool }).inspect();
    expect(references.map(({ from, confidence, reason }) => [from, confidence, reason.split('; ')[1]])).toEqual([
      ['app.pets(owner_id)', 'low', 'the rows could not be read'],
    ]);
    await drop('app');
  });
});

describe('what stands in the way is said before anything is changed', () => {
  test('a trigger that fires behind ours, and a published table whose rows nothing tells apart', async () => {
    await inSchema(
      'app',
      `create table shops (id int primary key); create table orders (id int primary key, shop_id int not null references shops);
       create table logs (shop_id int not null references shops);
       create function choose() returns trigger language plpgsql as $$ begin new.shop_id := 1; return new; end $$;
       create trigger zzz_choose before insert on orders for each row execute function choose();
       insert into shops values (1); insert into logs values (1); create publication logs_out for table logs`,
    );
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'app.shops' });
    const blockers = (await adopt.preflight(plan)).filter((finding) => finding.level === 'blocker');
    expect(blockers.map(({ code, object }) => [code, object])).toEqual([
      ['trigger-order', 'app.orders'],
      ['publication-without-identity', 'app.logs'],
    ]);
    const error = await failure(adopt.run(plan));
    expect(error.message).toContain('zzz_choose');
    expect(await adopt.status()).toBeNull();
    // each remedy is a statement that works
    await db.query('set search_path = app');
    for (const { fix } of blockers) await db.query(fix ?? '');
    expect((await adopt.preflight(plan)).filter((finding) => finding.level === 'blocker')).toEqual([]);
    await db.query('drop publication logs_out');
    await drop('app');
  });

  test('a table that inherits is told with a warning, and a family is of one mind', async () => {
    await inSchema('app', zoo('inheritance'));
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'app.companies' });
    const classes = Object.fromEntries(plan.tables.map((table) => [table.name, `${table.class}: ${table.reason}`]));
    expect(classes['trucks']).toContain('undecided: inherits from app.vehicles, whose rows belong to tenants');
    expect(classes['bikes']).toContain('owned: inherits from app.vehicles and is a table of its own');
    expect((await adopt.preflight(plan)).filter((f) => f.code === 'inheritance').map((f) => f.object)).toEqual([
      'app.bikes',
    ]);
    const error = await failure(
      adopt.plan({
        root: 'app.companies',
        tables: { 'app.trucks': { class: 'shared' }, 'app.tank_trucks': { class: 'shared' } },
      }),
    );
    expect(error.message).toContain('would belong to nobody');
    // a constant tenant takes them all
    const before = await dumpSchema(db.admin);
    const constant = await adopt.plan({ constant: 'System Tenant' });
    expect(constant.plan.order.length).toBe(6);
    await adopt.run(constant.plan);
    expect(await db.query('select count(*)::int as n from app.vehicles where tenant_id is null')).toEqual([{ n: 0 }]);
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    await drop('app');
  });
});

test('functions, views, publications and tables of extensions are in the inspection', async () => {
  await inSchema('app', zoo('functions-and-triggers'));
  await db.query(`create view app.firm_jobs as select * from app.jobs; create publication jobs_out for table app.jobs`);
  const { inspection, roots } = await createAdopt({ adminPool: pool }).inspect();
  expect(inspection.functions.find((fn) => fn.name.startsWith('app.count_logs'))).toMatchObject({
    securityDefiner: true,
    touches: ['app.job_stats'],
  });
  expect(inspection.triggers.filter((trigger) => trigger.table === 'app.jobs').map((trigger) => trigger.name)).toEqual([
    'a_stamp',
    'default_firm',
    'log_insert',
    'log_update',
  ]);
  expect(inspection.views.find((view) => view.name === 'app.firm_jobs')?.reads).toEqual(['app.jobs']);
  expect(inspection.published).toEqual([{ publication: 'jobs_out', table: 'app.jobs', updatesRefused: false }]);
  expect(roots[0]?.table).toBe('app.firms');
  await db.query('drop publication jobs_out');
  await drop('app');
});

test('content types of Django are offered as polymorphic pairs, each number with its model, and lead every row to its tenant', async () => {
  await inSchema('app', zoo('content-types'));
  await analyzeHost(db);
  const adopt = createAdopt({ adminPool: pool });
  const before = await dumpSchema(pool);
  const { references } = await adopt.inspect();
  expect(references.map(({ from, to, confidence }) => ({ from, to, confidence }))).toEqual(
    ['app.django_admin_log', 'app.tagging_tag'].map((table) => ({
      from: `${table}(content_type_id, object_id)`,
      to: { '7': 'app.shop_order(id)', '8': 'app.invoices(id)' },
      confidence: 'high',
    })),
  );
  expect(references[0]?.reason).toContain('content type of Django (7 = shop.order, 8 = shop.invoice)');
  const { plan } = await adopt.plan({
    root: 'app.shop_company',
    references: references.map(({ from, to }) => ({ from, to })),
    tables: { 'app.django_content_type': { class: 'shared' } },
  });
  await adopt.run(plan);
  for (const table of ['tagging_tag', 'django_admin_log']) {
    const wrong = await db.query(
      `select t.id from app.${table} t left join app.shop_order o on t.content_type_id = 7 and o.id = t.object_id::bigint left join app.invoices i on t.content_type_id = 8 and i.id = t.object_id::bigint
       left join tenantry.organizations g on g.key = coalesce(o.company_id, i.company_id)::text where t.tenant_id is distinct from g.id or g.id is null`,
    );
    expect([table, wrong]).toEqual([table, []]);
  }
  expect((await adopt.undo()).differences).toEqual([]);
  expect(await dumpSchema(pool)).toBe(before);
  await drop('app');
});
