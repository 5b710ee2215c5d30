import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../../src/adopt/index.ts';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenantry-check-'));
  file = join(folder, 'plan.yaml');
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  await db.query(`
    create table public.shops (id bigint primary key, name text not null);
    create table public.customers (id bigint primary key, shop_id bigint not null references public.shops (id), code text);
    create table public.orders (id bigint primary key, customer_id bigint not null references public.customers (id), other_id bigint);
    create table public.countries (code text primary key);
    insert into public.shops values (1, 'One'), (2, 'Two');
    insert into public.customers values (1, 1, 'a'), (2, 2, 'b');
    insert into public.orders values (1, 1), (2, 2);
    insert into public.countries values ('DE');`);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
  await rm(folder, { recursive: true, force: true });
});

const adopt = (...argv: string[]) => tenantry(['adopt', ...argv], { DATABASE_URL: db.adminUrl });
const check = () => adopt('plan', '--check', file);
const lineOf = async (text: string): Promise<number> =>
  (await readFile(file, 'utf8')).split('\n').findIndex((line) => line.startsWith(text)) + 1;
const edit = async (from: string | RegExp, to: string): Promise<void> =>
  writeFile(file, (await readFile(file, 'utf8')).replace(from, to));

describe('plan --check before an adoption', () => {
  test('B7: agrees with the plan that was just written, also when the order of rows and sizes changed', async () => {
    expect((await adopt('plan', '--root', 'public.shops', '--file', file)).code).toBe(3); // countries is undecided
    expect((await check()).err).toContain('public.countries is undecided');
    await edit(/class: undecided/, 'class: shared');
    await db.query(`insert into public.countries values ('FR'); analyze public.countries`);
    const result = await check();
    expect(result).toMatchObject({ code: 0, err: '' });
    expect(result.out).toMatch(/^ok .*plan\.yaml and the database agree: 4 tables\n$/);
  });

  test('B7: names a new table with the line and the remedy, which keeps every decision', async () => {
    await db.query(
      'create table public.refunds (id bigint primary key, order_id bigint references public.orders (id))',
    );
    const found = await check();
    expect(found.code).toBe(1);
    expect(found.err).toContain(
      `plan.yaml:${await lineOf('tables:')}: public.refunds is in the database and not in the plan`,
    );
    expect(found.err).toContain('next: tenantry adopt plan');
    expect((await adopt('plan', '--file', file)).code).toBe(0);
    expect((await check()).code).toBe(0);
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(/public\.countries:\n {4}class: shared/);
    expect(text).toMatch(/public\.refunds:\n {4}class: owned\n {4}via: \[order_id\]/);
  });

  test('B7: names a new foreign key, one that a tenant came by, and a table that is gone', async () => {
    await db.query(
      'alter table public.orders add constraint by_other foreign key (other_id) references public.customers (id)',
    );
    const added = await check();
    expect(added.code).toBe(1);
    expect(added.err).toContain(
      `plan.yaml:${await lineOf('  public.orders:')}: the foreign key (other_id) of public.orders`,
    );
    expect((await adopt('plan', '--file', file)).code).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('    keys: [other_id]');
    expect((await check()).code).toBe(0);

    await db.query(
      'alter table public.orders drop constraint by_other; alter table public.refunds drop constraint refunds_order_id_fkey',
    );
    const gone = JSON.parse((await adopt('plan', '--check', file, '--json')).out);
    expect(gone).toMatchObject({
      ok: false,
      phase: null,
      differences: [
        { kind: 'key-gone', table: 'public.orders', columns: ['other_id'], line: await lineOf('    keys: [other_id]') },
        { kind: 'key-gone', table: 'public.refunds', columns: ['order_id'], line: await lineOf('    via: [order_id]') },
      ],
    });
    await db.query('drop table public.refunds');
    expect((await check()).err).toContain('public.refunds is in the plan and not in the database');
    expect((await adopt('plan', '--file', file)).code).toBe(0);
    expect(await check()).toMatchObject({ code: 0, err: '' });
  });

  test('B7: a plan that contradicts itself, another database’s plan, and what is no plan', async () => {
    const text = await readFile(file, 'utf8');
    await edit(/(public\.customers:\n {4}class: )owned/, '$1shared');
    const contradiction = await check();
    expect(contradiction.code).toBe(1);
    expect(contradiction.err).toMatch(/drift .*plan\.yaml:\d+: .*public\.orders/);
    await writeFile(file, text.replaceAll('  public.', '  elsewhere.').replace('table: public.', 'table: elsewhere.'));
    expect((await check()).err).toContain('The plan was made for another database');
    await writeFile(file, text.replace('class: shared', 'class: sharred'));
    const typo = await check();
    expect(typo.code).toBe(2);
    expect(typo.err).toMatch(/TNT_PLAN_INVALID: Line \d+ of the plan/);
    expect((await adopt('plan', '--check', join(folder, 'none.yaml'))).code).toBe(2);
    await writeFile(file, text);
    expect((await check()).code).toBe(0);
  });
});

describe('plan --check in the middle of an adoption and after it', () => {
  test.each(['expand', 'backfill', 'tighten', 'shadow', 'enforced'] as const)(
    'B7: after %s our own columns, triggers, indexes and keys are no drift',
    async (phase) => {
      expect(await adopt('run', '--file', file, '--to', phase)).toMatchObject({ code: 0 });
      expect(await check()).toMatchObject({ code: 0, err: '' });
    },
  );

  test('B7: a decision of the file that is not the one of the run is named', async () => {
    const text = await readFile(file, 'utf8');
    await edit(/(public\.countries:\n {4}class: )shared/, '$1owned');
    const found = await check();
    expect(found.code).toBe(1);
    expect(found.err).toContain('public.countries is owned in the file and shared in the adoption');
    await writeFile(file, text);
    await edit(/(public\.orders:\n {4}class: owned\n)/, '$1    orphans: quarantine\n');
    expect((await check()).err).toContain(
      'what the file decides about rows of public.orders is not what the adoption decides',
    );
    await writeFile(file, text);
  });

  test('B7: what came after the adoption is drift until somebody decides, and the plan command does not lose the decision', async () => {
    await db.query(`create table public.currencies (code text primary key);
      alter table public.orders add constraint by_other foreign key (other_id) references public.customers (id)`);
    const found = await check();
    expect(found.code).toBe(1);
    expect(found.err).toContain('public.currencies came after the adoption');
    expect(found.err).toContain(
      'the foreign key (other_id) of public.orders to public.customers came after the adoption',
    );

    await edit(/$/, '  public.currencies:\n    class: shared\n');
    await edit('    via: [customer_id]', '    via: [customer_id]\n    keys: [other_id]');
    const decided = await check();
    expect(decided.code).toBe(0);
    expect(decided.err.match(/^note /gm)).toHaveLength(2);
    expect(decided.err).toContain('next: tenantry adopt plan --accept');
    expect((await adopt('plan', '--file', file)).code).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('public.currencies');
    expect((await adopt('plan', '--accept', '--file', file)).out).toBe(
      'accepted public.orders(other_id)\naccepted public.currencies\n',
    );
    expect(await check()).toMatchObject({ code: 0, err: '' });
    expect((await adopt('plan', '--accept', '--file', file)).out).toContain('Nothing to accept');
  });

  test('B7: a key that the plan used and a trigger that was switched off', async () => {
    await db.query(`set role tenantry_owner; alter table public.orders drop constraint orders_customer_id_fkey;
      alter table public.customers disable trigger zz_tenantry_fill_update; reset role`);
    const found = JSON.parse((await adopt('plan', '--check', file, '--json')).out);
    expect(found.differences).toMatchObject([
      { kind: 'trigger-off', table: 'public.customers' },
      {
        kind: 'key-gone',
        table: 'public.orders',
        columns: ['customer_id'],
        line: await lineOf('    via: [customer_id]'),
      },
    ]);
    await db.query(`set role tenantry_owner; alter table public.customers enable trigger zz_tenantry_fill_update;
      alter table public.orders add foreign key (customer_id) references public.customers (id); reset role`);
    expect((await check()).code).toBe(0);
  });

  test('B7: a table of tenants that is protected is classified; after undo the plan is compared with the schema again', async () => {
    await db.query('create table public.notes (id bigint primary key, body text)');
    expect((await check()).err).toContain('next: rows of tenants: tenantry protect public.notes');
    expect((await tenantry(['protect', 'public.notes'], { DATABASE_URL: db.adminUrl })).code).toBe(0);
    expect((await check()).code).toBe(0);
    await db.query('set role tenantry_owner; drop table public.notes; reset role');
    await createAdopt({ adminPool: pool }).undo();
    expect((await check()).code).toBe(0);
  });
});
