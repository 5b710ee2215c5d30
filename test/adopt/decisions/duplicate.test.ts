import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { dumpSchema } from '../../../src/adopt/index.ts';
import { createDoctor } from '../../../src/isolation/doctor/index.ts';
import { answer, contents, createSubject, type Subject, tenantsOf } from '../support/subject.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const schema = `
create table shops (id int primary key, name text not null);
create table towns (id int generated always as identity primary key, name text not null);
create sequence address_numbers start 100;
create table addresses (
  id int primary key default nextval('address_numbers'),
  town_id int not null references towns,
  street text not null,
  shouted text generated always as (upper(street)) stored,
  changed int not null default 0
);
create table customers (id int primary key, shop_id int not null references shops, address_id int references addresses, changed int not null default 0);
create table suppliers (id int primary key, shop_id int not null references shops, address_id int references addresses);
create function count_change() returns trigger language plpgsql as $$ begin new.changed := old.changed + 1; return new; end $$;
create trigger count_change before update on customers for each row execute function count_change();
create trigger count_change before update on addresses for each row execute function count_change();
insert into shops values (1, 'One'), (2, 'Two'), (3, 'Three');
insert into towns (name) values ('Ayr'), ('Bath'), ('Empty');
insert into addresses (id, town_id, street) values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 3, 'nobody'), (5, 1, 'all');
insert into customers (id, shop_id, address_id) values (11, 1, 1), (12, 1, 5), (13, 1, null), (21, 2, 2), (22, 2, 5), (31, 3, 3);
insert into suppliers values (1, 1, 2), (2, 2, 5), (3, 3, 5);
`;
const tables = ['shops', 'towns', 'addresses', 'customers', 'suppliers'];

let subject: Subject;
let before: string;
let data: Record<string, string>;
beforeEach(async () => {
  subject = await createSubject(schema);
  before = await dumpSchema(subject.db.admin);
  data = await contents(subject.db, tables);
});
afterEach(() => subject.drop());

const owned = (rest: object) => ({ class: 'owned' as const, ...rest });
const decided = (addresses: object, towns: object = { class: 'shared' }) => ({
  root: 'public.shops',
  tables: { 'public.addresses': owned(addresses), 'public.towns': towns },
});
const copied = decided(
  { sharedRows: 'duplicate', orphans: 'quarantine' },
  owned({ sharedRows: 'duplicate', orphans: 'quarantine' }),
);

/** The rows that a tenant sees when it reads its customers with all that they refer to. */
const addressBook = `select c.id, a.street, a.shouted, t.name as town from customers c left join addresses a on a.id = c.address_id left join towns t on t.id = a.town_id order by c.id`;

/** Everything a row refers to is its tenant's own: by hand, without the plan. */
async function strangers(): Promise<number> {
  const [row] = await subject.db.query<{ n: number }>(`
    select (select count(*)::int from customers c join addresses a on a.id = c.address_id where a.tenant_id is distinct from c.tenant_id)
         + (select count(*)::int from suppliers s join addresses a on a.id = s.address_id where a.tenant_id is distinct from s.tenant_id)
         + (select count(*)::int from addresses a join towns t on t.id = a.town_id where t.tenant_id is distinct from a.tenant_id) as n`);
  return row!.n;
}

describe('E2: rows that several tenants use', () => {
  test('stop a run until the plan says what becomes of them, each with the tenants that use it', async () => {
    const { adopt } = subject;
    const { plan, conflicts } = await adopt.plan(decided({ sharedRows: 'stop' }));
    expect(conflicts.map(({ table, kind, rows, keys }) => [table, kind, rows, keys])).toEqual([
      ['public.addresses', 'no tenant', 1, ['(4)']],
      ['public.addresses', 'shared row', 2, ['(2)', '(5)']],
    ]);
    await expect(adopt.run(plan)).rejects.toMatchObject({ code: 'TNT_ADOPT_CONFLICTS' });
  });

  test('E5: shared_rows: duplicate copies them when enforcement begins, and undo leaves the data as it was', async () => {
    const { adopt, db } = subject;
    const { plan, conflicts, file } = await adopt.plan(copied);
    expect(conflicts).toEqual([]);
    expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
    const book = await db.query(addressBook);
    await adopt.run(plan, { to: 'shadow' });
    // the application reads what it always read
    expect(await db.query(addressBook)).toEqual(book);
    expect(await db.query('select id, street, changed from addresses order by id')).toHaveLength(5);
    expect(await db.query(`select 1 from tenantry.adoption_duplicates`)).toEqual([]);
    expect(await adopt.verify()).toEqual([]);
    // what waits for its copies is no error of anybody's: the adoption brings it into its mode
    const app = new pg.Pool({ connectionString: db.appUrl, max: 2 });
    const { findings } = await createDoctor({ app, admin: db.admin }).run();
    await app.end();
    expect(
      findings.flatMap(({ code, key, level, fix }) => (code === 'TD039' ? [`${level} ${key}: ${fix}`] : [])).toSorted(),
    ).toEqual(['warn TD039:public.addresses: tenantry adopt run', 'warn TD039:public.towns: tenantry adopt run']);
    // and writes: a new customer of the third shop takes an address of the first, an address is new and used later
    await db.query(`insert into customers (id, shop_id, address_id) values (32, 3, 1)`);
    await db.query(`insert into addresses (id, town_id, street) values (6, 2, 'new')`);
    expect((await tenantsOf(db, 'addresses'))['6']).toBeNull();
    await db.query(`update suppliers set address_id = 6 where id = 2`);
    expect((await tenantsOf(db, 'addresses'))['6']).toBe('2');
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await strangers()).toBe(0);
    expect(await adopt.verify()).toEqual([]);
    const [copies] = await db.query(
      `select count(*) filter (where table_name = 'public.addresses')::int as addresses, count(*) filter (where table_name = 'public.towns')::int as towns from tenantry.adoption_duplicates`,
    );
    // 1 for shop 3; 2 for one of two; 5 for two of three
    expect(copies).toMatchObject({ addresses: 4 });
    expect(await db.query(addressBook)).toEqual(
      [...book, { id: 32, street: 'a', shouted: 'A', town: 'Ayr' }].sort((a, b) => Number(a['id']) - Number(b['id'])),
    );
    for (const key of ['1', '2', '3']) {
      const tenant = await subject.as(key);
      expect((await tenant.query(addressBook)).rows).toEqual(
        (await db.query(addressBook)).filter((row) => Math.floor(Number(row['id']) / 10) === Number(key)),
      );
    }
    // from now on a reference to another tenant's address is one to none
    const three = await subject.as('3');
    expect(await answer(three, `insert into customers (id, shop_id, address_id) values (33, 3, 1)`)).toBe(
      await answer(three, `insert into customers (id, shop_id, address_id) values (33, 3, 999)`),
    );
    expect(
      await answer(three, `insert into addresses (id, town_id, street) select 900, id, 'own' from towns limit 1`),
    ).toBe('done');
    expect(await answer(three, `insert into customers (id, shop_id, address_id) values (33, 3, 900)`)).toBe('done');
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    await db.query(
      `delete from customers where id in (32, 33); update suppliers set address_id = 5 where id = 2; delete from addresses where id in (6, 900)`,
    );
    expect(await contents(db, tables)).toEqual(data);
    expect(await db.query(`select 1 from tenantry.adoption_duplicates`)).toEqual([]);
  });

  test('while copies are made, the application goes on: a reference to another tenant’s row leads to a copy', async () => {
    const { adopt, db } = subject;
    const { plan } = await adopt.plan(copied);
    const stop = new AbortController();
    let id = 100;
    await adopt
      .run(plan, {
        signal: stop.signal,
        onEvent: async (event) => {
          if (event.type !== 'step' || event.phase !== 'enforced') return;
          if (event.id === 'enforced/public.suppliers/references') stop.abort();
          if (!event.id.includes('/copied/') && !event.id.endsWith('/point')) return;
          id += 1;
          await db.query(`insert into customers (id, shop_id, address_id) values (${id}, 2, 1)`);
          await db.query(`update customers set address_id = 3 where id = 13`);
        },
      })
      .catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'TNT_INTERRUPTED' });
      });
    expect(id).toBeGreaterThan(103);
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await strangers()).toBe(0);
    // the copy of each row is made once for each tenant
    const [twice] = await db.query(
      `select count(*)::int as n from (select 1 from addresses group by street, tenant_id having count(*) > 1) x`,
    );
    expect(twice).toEqual({ n: 0 });
    expect((await adopt.undo()).differences).toEqual([]);
    await db.query(
      'delete from customers where id > 100; update customers set address_id = null, changed = 0 where id = 13',
    );
    await db.query(
      'alter table customers disable trigger user; update customers set changed = 0; alter table customers enable trigger user',
    );
    expect(await contents(db, tables)).toEqual(data);
  });

  test('undo from before and after the copying leaves schema and data as they were, and a copy that a tenant changed stays', async () => {
    const { adopt, db } = subject;
    for (const to of ['backfill', 'shadow'] as const) {
      await adopt.run((await adopt.plan(copied)).plan, { to });
      expect((await adopt.undo()).differences, to).toEqual([]);
      expect(await contents(db, tables), to).toEqual(data);
    }
    expect(await dumpSchema(db.admin)).toBe(before);
    await adopt.run((await adopt.plan(copied)).plan);
    const two = await subject.as('2');
    await two.query(`update addresses set street = 'mine' where id = (select address_id from customers where id = 22)`);
    expect((await adopt.undo({ to: 'shadow' })).phase).toBe('shadow');
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await strangers()).toBe(0);
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await db.query(`select street from addresses order by id`)).toEqual(
      ['a', 'b', 'c', 'nobody', 'all', 'mine'].map((street) => ({ street })),
    );
    expect(
      await db.query(
        `select a.street from customers c join addresses a on a.id = c.address_id where c.id in (12, 22) order by c.id`,
      ),
    ).toEqual([{ street: 'all' }, { street: 'mine' }]);
    expect(await db.query(`select original_key from tenantry.adoption_duplicates`)).toEqual([{ original_key: '5' }]);
  });

  test('E3: a global key of copied rows goes when the copies are made, and contract and undo know of it', async () => {
    const { adopt, db } = subject;
    await db.query('alter table addresses add constraint addresses_street_key unique (street)');
    const global = await dumpSchema(db.admin);
    const { plan, conflicts, file } = await adopt.plan(
      decided(
        { sharedRows: 'duplicate', orphans: 'quarantine', uniques: { addresses_street_key: 'per-tenant' } },
        owned({ sharedRows: 'duplicate', orphans: 'quarantine' }),
      ),
    );
    expect(conflicts).toEqual([]);
    expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
    const yes = { confirm: () => true };
    const streets = `select street, count(*)::int as n from addresses group by 1 order by 1`;
    const upsert = `insert into addresses (id, town_id, street) values (7, 1, 'a') on conflict (street) do update set town_id = 1`;
    await adopt.run(plan, { to: 'shadow', ...yes });
    // until the copies are made both keys hold, and the old application's upsert has its own
    await db.query(upsert);
    expect(await db.query(streets)).toEqual(['a', 'all', 'b', 'c', 'nobody'].map((street) => ({ street, n: 1 })));

    expect((await adopt.run(null, yes)).phase).toBe('enforced');
    expect(await strangers()).toBe(0);
    expect(await adopt.verify()).toEqual([]);
    expect(await db.query(streets)).toEqual([
      { street: 'a', n: 1 },
      { street: 'all', n: 3 },
      { street: 'b', n: 2 },
      { street: 'c', n: 1 },
      { street: 'nobody', n: 1 },
    ]);
    const two = await subject.as('2');
    expect(
      await answer(two, `insert into addresses (id, town_id, street) select 901, id, 'all' from towns limit 1`),
    ).toContain('addresses_street_key_tenant_id_key');
    expect(
      await answer(two, `insert into addresses (id, town_id, street) select 902, id, 'c' from towns limit 1`),
    ).toBe('done');

    expect(await adopt.contract(yes)).toMatchObject({
      phase: 'contract',
      retired: ['"public"."addresses_street_key"'],
      undecided: [],
    });
    expect((await adopt.undo({ to: 'enforced' })).phase).toBe('enforced');
    expect(await db.query(streets)).toContainEqual({ street: 'all', n: 3 });
    expect((await adopt.contract(yes)).phase).toBe('contract');

    // two tenants have the street by now, and not by a copy: the way back lists them, and goes on when they differ
    const taken = await adopt.undo().then(
      () => undefined,
      (error: { code: string; message: string }) => error,
    );
    expect([taken?.code, taken?.message]).toEqual(['TNT_ADOPT_NOT_UNIQUE', expect.stringContaining('3 = ')]);
    await db.query(`delete from addresses where street = 'c' and id <> 3`);
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(global);
    await db.query(
      'alter table addresses drop constraint addresses_street_key; alter table addresses disable trigger user; update addresses set changed = 0',
    );
    await db.query('alter table addresses enable trigger user');
    expect(await contents(db, tables)).toEqual(data);
  });

  test('shared_rows: quarantine leaves them to operators, also those that become shared', async () => {
    const { adopt, db } = subject;
    const { plan } = await adopt.plan(decided({ sharedRows: 'quarantine', orphans: 'quarantine' }));
    await adopt.run(plan, { to: 'tighten' });
    expect(await tenantsOf(db, 'addresses')).toEqual({ 1: '1', 2: null, 3: '3', 4: null, 5: null });
    await db.query(`insert into customers (id, shop_id, address_id) values (23, 2, 3), (24, 2, 4)`);
    expect(await tenantsOf(db, 'addresses')).toEqual({ 1: '1', 2: null, 3: null, 4: '2', 5: null });
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await adopt.verify()).toEqual([]);
    const one = await subject.as('1');
    expect((await one.query('select id from addresses')).rows).toEqual([{ id: 1 }]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('shared_rows: share leaves the table to everybody, as class shared says', async () => {
    const { adopt, db } = subject;
    const shared = { class: 'shared', sharedRows: 'share' } as const;
    const { plan, conflicts, file } = await adopt.plan({
      root: 'public.shops',
      tables: { 'public.addresses': shared, 'public.towns': shared },
    });
    expect(conflicts).toEqual([]);
    expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
    await adopt.run(plan);
    await db.query('grant select on addresses to tenantry_app');
    for (const key of ['1', '2', '3']) {
      const tenant = await subject.as(key);
      expect((await tenant.query('select id from addresses')).rows).toHaveLength(5);
      expect((await tenant.query('select id from customers where id / 10 <> $1::int', [key])).rows).toEqual([]);
    }
    await db.query('revoke select on addresses from tenantry_app');
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await contents(db, tables)).toEqual(data);
  });

  test('what cannot be copied is said before anything is changed', async () => {
    const { adopt, db } = subject;
    await expect(adopt.plan(decided({ sharedRows: 'duplicate' }, owned({ sharedRows: 'stop' })))).rejects.toThrow(
      'a copy would refer by town_id to the row of another tenant in public.towns',
    );
    await db.query('alter table addresses alter column id drop default');
    await expect(adopt.plan(decided({ sharedRows: 'duplicate' }))).rejects.toThrow(
      'public.addresses.id has no default',
    );
    await db.query('alter table addresses alter column id set default 7');
    await expect(adopt.plan(decided({ sharedRows: 'duplicate' }))).rejects.toThrow(
      'no sequence, identity or uuid function',
    );
    await db.query(`alter table addresses alter column id set default nextval('address_numbers'), add unique (street)`);
    const { conflicts, plan } = await adopt.plan(decided({ sharedRows: 'duplicate', orphans: 'quarantine' }));
    expect(conflicts.map(({ kind, routes, keys }) => [kind, routes, keys])).toEqual([
      ['copy breaks unique', ['unique addresses_street_key (street)'], ['(2)', '(5)']],
    ]);
    await expect(adopt.run(plan)).rejects.toMatchObject({ code: 'TNT_ADOPT_CONFLICTS' });
  });
});
