import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIsolation, type Isolation } from '../../src/isolation/index.ts';
import { type CaseDatabase, createCaseDatabase } from './case-database.ts';

// What the library makes, doctor finds nothing wrong with, in any mode and for any kind of table.
let place: CaseDatabase;
let isolation: Isolation;

beforeAll(async () => {
  place = await createCaseDatabase();
  isolation = createIsolation({ admin: place.database.admin });
  await place.run(`
    revoke temporary on database :database from public;
    create table public.shops (id uuid primary key default tenantry.uuidv7(), name text)`);
});
afterAll(() => place.drop());

const errorsNow = async (): Promise<string[]> =>
  (await place.examine()).findings
    .filter(({ level }) => level === 'error')
    .map(({ key, detail }) => `${key} ${detail}`);

test('a table that tenantry protect made a tenant’s', async () => {
  await isolation.protect('public.shops');
  expect(await errorsNow()).toEqual([]);
});

test.each([
  ['a plain table', 'parcels', 'tenant_id uuid not null, id bigint, primary key (tenant_id, id)', {}],
  [
    'rows of one user',
    'drafts',
    'tenant_id uuid not null, id bigint, author_id uuid, primary key (tenant_id, id)',
    { owner: { column: 'author_id' } },
  ],
  [
    'a key of the host’s own',
    'invoices',
    'account_id bigint not null, id bigint, primary key (account_id, id)',
    { column: 'account_id' },
  ],
  [
    'a key of text',
    'labels',
    'account varchar(20) not null, id bigint, primary key (account, id)',
    { column: 'account' },
  ],
  ['a partitioned table', 'readings', 'tenant_id uuid not null, at int, primary key (tenant_id, at)', {}],
  [
    'a table that keeps its owner',
    'drawers',
    'tenant_id uuid not null, id bigint, primary key (tenant_id, id)',
    { keepOwner: true },
  ],
] as const)('%s in shadow, enforced, off and enforced again', async (_, name, columns, options) => {
  const table = `public.${name}`;
  await place.run(`create table ${table} (${columns}) ${name === 'readings' ? 'partition by range (at)' : ''};
    grant select, insert, update, delete on ${table} to tenantry_app`);
  if (name === 'readings')
    await place.run('create table public.readings_1 partition of public.readings for values from (0) to (10)');

  await isolation.shadow(table, options);
  expect(await errorsNow()).toEqual([]);
  await isolation.enforce(table);
  expect(await errorsNow()).toEqual([]);
  await isolation.off(table);
  expect(await errorsNow()).toEqual([]);
  await isolation.enforce(table, { force: true });
  expect(await errorsNow()).toEqual([]);
});

test('strict binding on and off', async () => {
  await isolation.strictBinding(true);
  expect(await errorsNow()).toEqual([]);
  await isolation.strictBinding(false);
  expect(await errorsNow()).toEqual([]);
});

test.each(['shadow', 'enforced', 'off'] as const)(
  'what doctor says of a spoiled table in mode %s is what repairs it',
  async (mode) => {
    const table = `public.spoiled_${mode}`;
    await place.run(`create table ${table} (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
    grant select, insert, update, delete on ${table} to tenantry_app`);
    const set = async (): Promise<unknown> => {
      if (mode === 'off') return isolation.off(table);
      return mode === 'shadow' ? isolation.shadow(table) : isolation.enforce(table, { force: true });
    };
    await isolation.shadow(table);
    await set();
    const policy = mode === 'shadow' ? 'tenantry_shadow_select' : 'tenantry_floor';
    const about = async (): Promise<string[]> =>
      (await place.examine({ only: ['TD005', 'TD007'] })).findings.map(({ key }) => key);
    const spoilt = async (sql: string): Promise<string[]> => {
      await place.run(sql);
      const found = await about();
      await set();
      expect(await about()).toEqual([]);
      return found;
    };
    expect(await spoilt(`drop policy ${policy} on ${table}`)).toContain(`TD007:${table}:${policy}`);
    expect(await spoilt(`alter policy ${policy} on ${table} using (true)`)).toContain(`TD007:${table}:${policy}`);
    expect(await spoilt(`alter table ${table} ${mode === 'off' ? 'enable' : 'disable'} row level security`)).toContain(
      `TD005:${table}`,
    );
  },
);
