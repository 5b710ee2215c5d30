import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';

import { tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let db: TestDatabase;
let pool: pg.Pool;
const folder = mkdtempSync(join(tmpdir(), 'tenantry-open-plan-'));
const file = join(folder, 'plan.yaml');
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(`
    create table shops (id int primary key, name text not null);
    create table products (id int primary key, shop_id int not null references shops (id), sku text not null unique, code text);
    create table orders (id int primary key, shop_id int not null references shops (id), product_id int references products (id));
    insert into shops values (1, 'one'), (2, 'two');
    insert into products select i, 1 + i % 2, 's' || i, 'c' || i from generate_series(1, 20) i;
    insert into orders select i, 1 + i % 2, i from generate_series(1, 20) i;
  `);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
  rmSync(folder, { recursive: true, force: true });
});

const bare = (...argv: string[]) => tenantry(['adopt', ...argv], { DATABASE_URL: db.adminUrl });
const command = (...argv: string[]) => bare(...argv, '--file', file);
const edit = (from: string | RegExp, to: string): number => {
  const text = readFileSync(file, 'utf8').replace(from, to);
  writeFileSync(file, text);
  return text.split('\n').findIndex((line) => line.includes(to.trim().split('\n')[0] ?? '')) + 1;
};
const optional = async (): Promise<string[]> =>
  (
    await db.query<{ step: string }>(
      `select id || ' ' || status as step from tenantry.adoption_steps where run_id = (select id from tenantry.adoption_runs where status = 'open')
         and id ~ '/(unique|target|composite)/' order by position`,
    )
  ).map(({ step }) => step);

test('B7: of an adoption that is open an edited plan adds what its steps have not come to; anything else is refused with its line and the way', async () => {
  const before = await dumpSchema(pool);
  expect((await command('plan', '--root', 'public.shops')).code).toBe(0);
  const planned = readFileSync(file, 'utf8');
  expect((await command('run', '--to', 'shadow')).code).toBe(0);

  // what is done already cannot be decided again
  for (const [from, to, path] of [
    ['via: [product_id]', 'via: [shop_id, product_id]', 'tenant by shop_id, product_id'],
    [/(public.orders:\n +class: )owned/, '$1shared', 'shared in the file and owned in the adoption'],
    ['class: owned', 'class: owned\n    orphans: quarantine', 'what the file decides about rows of'],
    ['column: tenant_id', 'column: org_id', 'names the tenant column org_id'],
  ] as const) {
    if (typeof from === 'string' && !planned.includes(from)) continue;
    writeFileSync(file, planned);
    edit(from, to);
    const refused = await command('run');
    expect([refused.code, refused.err]).toEqual([expect.any(Number), expect.stringContaining(path)]);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('TNT_PLAN_DRIFTED');
    expect(refused.err).toMatch(/line \d+: /);
    expect(refused.err).toContain('tenantry adopt undo');
    expect(refused.err).toContain('tenantry adopt release');
  }
  expect(await optional()).toEqual([]);

  // keys may be added: by check as a note, by the next run in fact
  writeFileSync(file, planned);
  edit(/(public.products:\n +class: owned\n)/, '$1    uniques: {products_sku_key: per-tenant, (code): per-tenant}\n');
  expect((await command('plan', '--check')).err).toContain('the file decides uniques of public.products');
  expect((await command('run', '--to', 'shadow')).err).toContain('TNT_NOT_CONFIRMED');
  expect((await command('run', '--to', 'shadow', '--yes')).code).toBe(0);
  expect(await optional()).toEqual([
    'verify/public.products/unique/(code) done',
    'tighten/public.products/unique/products_sku_key done',
    'tighten/public.products/unique/(code) done',
    'contract/public.products/unique/products_sku_key pending',
  ]);
  expect((await command('plan', '--check')).err).not.toContain('uniques');
  edit(/(public.orders:\n +class: owned\n)/, '$1    composite_keys: [product_id]\n');
  // of a key that cannot be made the line is told
  const wrong = readFileSync(file, 'utf8');
  const line = edit('composite_keys: [product_id]', 'composite_keys: [code]');
  expect((await command('run')).err).toContain(`Line ${line} of the plan`);
  writeFileSync(file, wrong);
  expect((await command('run', '--force', '--yes')).code).toBe(0);
  expect(await optional()).toContain('tighten/public.orders/validate-foreign-key/composite/product_id done');

  // one that is there is taken back first
  edit(/^ {4}uniques: .*\n/m, '');
  const made = await command('run');
  expect([made.code, made.err]).toEqual([
    expect.any(Number),
    expect.stringContaining('The plan leaves out a key that the adoption has made'),
  ]);
  expect(made.err).toContain('tenantry adopt undo --to');
  writeFileSync(file, wrong);

  const contracted = await command('contract', '--yes', '--json');
  expect(JSON.parse(contracted.out)).toMatchObject({
    phase: 'contract',
    retired: ['"public"."products_sku_key"'],
    undecided: [],
  });
  expect((await command('run')).code).toBe(0);
  expect((await bare('status')).out).toMatch(/^contract, complete/);
  expect((await bare('undo', '--yes')).code).toBe(0);
  expect(await dumpSchema(pool)).toBe(before);
});

test('B7: a script of the plan has contract too, and leaves it out unless it is asked for', async () => {
  const text = readFileSync(file, 'utf8');
  const script = await createAdopt({ adminPool: pool }).sql(text);
  const part = script.slice(script.indexOf('\\if :{?contract}'));
  expect(part).toContain('drop constraint "products_sku_key"');
  expect(part.trimEnd()).toMatch(/\\endif$/);
  expect(script.slice(0, script.length - part.length)).not.toContain('drop constraint "products_sku_key"');
});
