import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Adopt, createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { failure } from './support/failure.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let db: TestDatabase;
let pool: pg.Pool;
let adopt: Adopt;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(`
    create table shops (id int primary key, name text not null, slug text unique);
    create table products (
      id int primary key, shop_id int not null references shops (id), sku text not null, number int, mail text, place int,
      constraint products_sku_key unique (sku), constraint one_place unique (place) deferrable
    );
    comment on constraint products_sku_key on products is 'the stock keeping unit';
    comment on index products_sku_key is 'kept in order';
    alter table products cluster on products_sku_key;
    create unique index "Mail, lower" on products (lower(mail) desc nulls last) include (number) where mail <> '';
    comment on index "Mail, lower" is 'one account each';
    create table orders (id int primary key, shop_id int not null references shops (id), product_id int not null references products (id) on delete cascade, sku text references products (sku), unique (shop_id, product_id));
    create table notes (id int primary key, order_id int references orders (id), product_id int not null references products (id));
    insert into shops values (1, 'one', 'a'), (2, 'two', 'b');
    insert into products select i, 1 + i % 2, 's' || i, i / 4, 'm' || i from generate_series(1, 40) i;
    insert into orders select i, 1 + i % 2, i from generate_series(1, 40) i;
    insert into notes select i, i, i from generate_series(1, 40) i;
    alter table orders drop constraint orders_sku_fkey;
  `);
  adopt = createAdopt({ adminPool: pool });
  before = await dumpSchema(pool);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const comments = (): Promise<unknown[]> =>
  db.query(`select coalesce(obj_description(i.oid, 'pg_class'), '') as a, coalesce(obj_description(k.oid, 'pg_constraint'), '') as b, x.indisclustered
            from pg_class i join pg_index x on x.indexrelid = i.oid left join pg_constraint k on k.conindid = i.oid and k.contype = 'u'
            where x.indrelid = 'products'::regclass order by i.relname`);

/** The file with lines below a table's class. */
async function fileWith(entries: Readonly<Record<string, string>>): Promise<string> {
  const { file } = await adopt.plan({ root: 'public.shops' });
  return Object.entries(entries).reduce(
    (text, [table, line]) => text.replace(new RegExp(`(  public.${table}:\n    class: \\w+\n)`), `$1    ${line}\n`),
    file,
  );
}
const lineOf = (text: string, part: string): number => text.split('\n').findIndex((line) => line.includes(part)) + 1;

test('E3 a plan proposes what becomes of each unique key, with the reason, and changes none that nobody decided', async () => {
  const { plan, file } = await adopt.plan({ root: 'public.shops' });
  const told = plan.tables.flatMap(({ table, uniques }) =>
    uniques.map(({ name, proposal }) => [table, name, proposal]),
  );
  expect(told).toEqual([
    ['public.orders', 'orders_shop_id_product_id_key', 'global'],
    ['public.products', 'Mail, lower', 'per-tenant'],
    ['public.products', 'one_place', 'global'],
    ['public.products', 'products_sku_key', 'per-tenant'],
    ['public.shops', 'shops_slug_key', 'global'],
  ]);
  expect(file).toContain('Proposed: uniques: {products_sku_key: per-tenant}');
  expect(file).toContain('Proposed: uniques: {"Mail, lower": per-tenant}');
  expect(file).toContain('Unique one_place (place) is global');
  expect(file).toContain('it is deferrable');
  expect(file).not.toMatch(/^ {4}uniques/m);
  expect(plan.steps.filter((step) => step.optional)).toEqual([]);
});

test('E3 decisions about keys stay as they are written, in one order', async () => {
  const wanted = await fileWith({
    products: 'uniques: {"(number)": per-tenant, products_sku_key: per-tenant, "Mail, lower": global}',
    notes: 'composite_keys: [product_id]',
  });
  const { file } = await adopt.plan(wanted);
  expect(file).toContain('uniques: {"Mail, lower": global, products_sku_key: per-tenant, (number): per-tenant}');
  expect(file).toContain('composite_keys: [product_id]');
  expect(file).toContain('Unique products_sku_key (sku) becomes per tenant');
  expect((await adopt.plan(file)).file).toBe(file);
});

test('E3 a decision that cannot be carried out is refused with its line', async () => {
  for (const [table, line, message] of [
    ['products', 'uniques: {products_skus: per-tenant}', 'is no unique key of public.products; it has Mail, lower'],
    ['products', 'uniques: {one_place: per-tenant}', 'cannot become per tenant: it is deferrable'],
    ['products', 'uniques: {products_sku_key: each}', 'must be per-tenant or global'],
    ['products', 'uniques: {"(nothing)": per-tenant}', 'has no column nothing'],
    ['products', 'uniques: {"(number)": global}', 'only per-tenant makes a key'],
    ['notes', 'composite_keys: [sku]', 'is no foreign key to rows of tenants; those are "product_id", "order_id"'],
    ['notes', 'composite_keys: {order_id: true}', 'expected array'],
  ] as const) {
    const text = await fileWith({ [table]: line });
    const error = await failure(adopt.plan(text));
    expect(error.code).toBe('TNT_PLAN_INVALID');
    expect(error.message).toContain(message);
    expect(error.message).toContain(`Line ${lineOf(text, line)} of the plan`);
  }
  expect((await adopt.check(await fileWith({ products: 'uniques: {gone: per-tenant}' }))).differences).toMatchObject([
    { kind: 'invalid', table: null, message: expect.stringContaining('gone is no unique key') as string },
  ]);
});

test('E3 duplicates that keep a key from being unique per tenant are listed with their keys before anything is changed', async () => {
  const text = await fileWith({ products: 'uniques: {"(number)": per-tenant}' });
  const { plan, conflicts } = await adopt.plan(text);
  // 40 rows in tenants 1 and 2 by turns, four to a number: two of each tenant
  expect(conflicts).toMatchObject([
    {
      table: 'public.products',
      kind: 'duplicate value',
      decision: 'stop',
      rows: 38,
      routes: ['unique (number) per tenant'],
    },
  ]);
  const listed: string[] = [];
  for await (const batch of adopt.findings(plan)) listed.push(...batch.map(({ key, tenant }) => `${key} ${tenant}`));
  expect(listed).toHaveLength(38);
  expect(listed.slice(0, 3)).toEqual(['(1) 2', '(3) 2', '(4) 1']);
  const error = await failure(adopt.run(plan, { confirm: () => true }));
  expect([error.code, error.message]).toEqual([
    'TNT_ADOPT_CONFLICTS',
    expect.stringContaining('38 rows of public.products'),
  ]);
  expect(await dumpSchema(pool)).toBe(before);
  expect(await adopt.status()).toBeNull();
  // a constant tenant is one tenant
  const { plan: constant } = await adopt.plan({
    constant: 'All',
    tables: { 'public.products': { uniques: { '(number)': 'per-tenant' } } },
  });
  const whole: unknown[] = [];
  for await (const batch of adopt.findings(constant)) whole.push(...batch);
  expect(whole).toHaveLength(39);
});

test('E3 keys per tenant stand beside the global ones until contract; its undo is equal in the dump, and refused when two tenants have one value', async () => {
  const kept = await comments();
  await db.query('update products set number = id');
  const text = await fileWith({
    products: 'uniques: {"(number)": per-tenant, products_sku_key: per-tenant, "Mail, lower": per-tenant}',
    orders: 'composite_keys: [product_id]',
  });
  const { plan } = await adopt.plan(text);
  const unasked = await failure(adopt.run(plan));
  expect([unasked.code, unasked.message]).toEqual(['TNT_NOT_CONFIRMED', expect.stringContaining('public.products')]);
  expect((await failure(adopt.run(plan, { confirm: () => false }))).code).toBe('TNT_NOT_CONFIRMED');
  expect(await adopt.status()).toBeNull();

  const questions: string[] = [];
  const yes = (question: string): boolean => questions.push(question) > 0;
  await adopt.run(plan, { to: 'shadow', confirm: yes });
  expect((await failure(adopt.contract({ confirm: yes }))).message).toContain('contract comes behind enforced');
  await adopt.run(null, { to: 'enforced', force: true });
  expect(questions).toHaveLength(1);
  expect(await adopt.verify()).toEqual([]);
  expect((await adopt.status())?.drift).toEqual([]);
  const names = async (): Promise<string[]> =>
    (
      await db.query<{ n: string }>(
        `select indexrelid::regclass::text as n from pg_index where indrelid = 'products'::regclass and indisunique and not indisprimary order by 1`,
      )
    ).map(({ n }) => n);
  expect(await names()).toEqual([
    '"Mail, lower"',
    '"Mail, lower_tenant_id_key"',
    'one_place',
    'products_id_tenant_id_key',
    'products_number_tenant_id_key',
    'products_sku_key',
    'products_sku_key_tenant_id_key',
  ]);
  // while both hold, nothing that the old application sends is refused
  const upsert = `insert into products (id, shop_id, sku, number) values (1, 2, 's1', 1) on conflict (sku) do update set number = 1`;
  await db.query(upsert);

  const done = await adopt.contract({ confirm: yes });
  expect(done).toMatchObject({
    phase: 'contract',
    retired: ['"public"."Mail, lower"', '"public"."products_sku_key"'],
    undecided: [],
  });
  expect(questions[1]).toContain('names a key which goes now');
  expect(await names()).not.toContain('products_sku_key');
  await expect(db.query(upsert)).rejects.toThrow('no unique or exclusion constraint');
  const products = (shop: number, id: number, sku: string, mail: string): Promise<unknown> =>
    db.query(`insert into products (id, shop_id, sku, number, mail) values ($1, $2, $3, $1, $4)`, [
      id,
      shop,
      sku,
      mail,
    ]);
  await expect(products(2, 100, 's1', 'x')).rejects.toThrow('products_sku_key_tenant_id_key');
  await expect(products(2, 100, 'x', 'M1')).rejects.toThrow('Mail, lower_tenant_id_key');
  await products(1, 100, 's1', 'M1');
  expect((await adopt.status())?.phases.at(-1)).toMatchObject({ phase: 'contract', done: 2, steps: 2 });

  // without any trigger of ours a reference into another tenant is refused by the key itself
  await expect(
    db.query('alter table orders disable trigger user; update orders set product_id = 2 where id = 1'),
  ).rejects.toThrow('orders_product_id_tenant_id_fkey');

  const taken = await failure(adopt.undo());
  expect([taken.code, taken.message]).toEqual(['TNT_ADOPT_NOT_UNIQUE', expect.stringContaining('1 = 100')]);
  await db.query('delete from products where id = 100');
  expect((await adopt.undo({ to: 'enforced' })).phase).toBe('enforced');
  await db.query(upsert);
  await adopt.contract({ confirm: yes });
  expect((await adopt.undo()).differences).toEqual([]);
  expect(await dumpSchema(pool)).toBe(before);
  expect(await comments()).toEqual(kept);
});
