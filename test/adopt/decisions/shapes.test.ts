import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { dumpSchema } from '../../../src/adopt/index.ts';
import { answer, contents, createSubject, type Subject, tenantsOf } from '../support/subject.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const schema = `
create table shops (id int primary key, name text not null);
-- has a way of its own, and orders of other shops name it
create table products (id uuid primary key default gen_random_uuid(), shop_id int not null references shops, sku text not null, unique (shop_id, sku));
create table orders (id int primary key, shop_id int not null references shops);
create table lines (order_id int references orders deferrable initially deferred, product_id uuid references products, n int, primary key (order_id, n));
-- a circle: either is in quarantine where the other belongs elsewhere
create table teams (id int primary key, shop_id int not null references shops, head int);
create table people (id int primary key, team_id int not null references teams deferrable initially deferred, shop_id int not null references shops);
alter table teams add foreign key (head) references people deferrable initially deferred;
-- no key, partitioned, its way may be missing
create table visits (at date not null, team_id int references teams, shop_id int references shops) partition by range (at);
create table visits_2025 partition of visits for values from ('2025-01-01') to ('2026-01-01');
create table visits_2026 partition of visits for values from ('2026-01-01') to ('2027-01-01');
-- used by two tables, never both
create table pictures (id bigint generated always as identity primary key, name text not null);
alter table people add picture_id bigint references pictures;
alter table products add picture_id bigint references pictures;

insert into shops values (1, 'One'), (2, 'Two');
insert into pictures (name) values ('a'), ('b'), ('unused');
insert into products (id, shop_id, sku, picture_id) values ('00000000-0000-0000-0000-000000000001', 1, 'x', 1), ('00000000-0000-0000-0000-000000000002', 2, 'x', 1), ('00000000-0000-0000-0000-000000000003', 1, 'y', 2);
insert into orders values (1, 1), (2, 2);
insert into lines values (1, '00000000-0000-0000-0000-000000000001', 1), (2, '00000000-0000-0000-0000-000000000003', 1), (2, null, 2);
insert into teams values (1, 1), (2, 2), (3, 1);
insert into people (id, team_id, shop_id, picture_id) values (11, 1, 1, 2), (22, 2, 2, null), (31, 3, 2, null);
update teams set head = 11 where id = 1;
update teams set head = 22 where id = 3;
insert into visits values ('2025-05-05', 1, null), ('2026-05-05', 2, 2), ('2026-06-06', null, null), ('2026-07-07', 2, 1);
`;
const tables = ['shops', 'products', 'orders', 'lines', 'teams', 'people', 'visits', 'pictures'];

let subject: Subject;
let before: string;
beforeEach(async () => {
  subject = await createSubject(schema);
  before = await dumpSchema(subject.db.admin);
});
afterEach(() => subject.drop());

const decisions = {
  root: 'public.shops',
  tables: {
    'public.products': { class: 'owned', via: ['shop_id'], sharedRows: 'duplicate' },
    'public.teams': { class: 'owned', via: ['shop_id'], conflicts: 'quarantine' },
    'public.people': { class: 'owned', via: ['shop_id'], conflicts: { team_id: 'quarantine' } },
    'public.visits': { class: 'owned', via: ['team_id'], conflicts: 'via', orphans: 'organization:two' },
    'public.lines': { class: 'owned', via: ['order_id'] },
    'public.pictures': { class: 'owned', sharedRows: 'duplicate', orphans: 'organization:lost-property' },
  },
} as const;

describe('E2: decisions in awkward schemas', () => {
  test('copies of rows with a way of their own, circles, deferred keys, partitions without a key, orphans with a home', async () => {
    const { adopt, db } = subject;
    const { plan, conflicts, decided } = await adopt.plan(decisions);
    expect(conflicts).toEqual([]);
    expect(decided.map(({ table, kind, decision, rows }) => [table.slice(7), kind, decision, rows])).toEqual([
      ['people', 'joins tenants', 'quarantine', 1],
      ['pictures', 'no tenant', 'organization:lost-property', 1],
      ['pictures', 'shared row', 'duplicate', 1],
      ['products', 'shared row', 'duplicate', 1],
      ['teams', 'joins tenants', 'quarantine', 1],
      ['visits', 'joins tenants', 'via', 1],
      ['visits', 'no tenant', 'organization:two', 1],
    ]);
    const data = await contents(db, tables);
    await adopt.run(plan, { to: 'expand' });
    // a child before its parent, in one transaction; a row that leads nowhere
    await db.query(
      `begin; insert into people values (41, 4, 2); insert into teams values (4, 1, 41); insert into lines values (3, null, 1); insert into orders values (3, 2); commit`,
    );
    await db.query(`insert into visits values ('2025-08-08', null, null)`);
    await adopt.run(null, { to: 'shadow' });
    expect(await adopt.verify()).toEqual([]);
    expect(await tenantsOf(db, 'teams')).toEqual({ 1: '1', 2: '2', 3: null, 4: null });
    // 4 and 41 are there because of each other
    expect(await tenantsOf(db, 'people')).toEqual({ 11: '1', 22: '2', 31: null, 41: null });
    expect(await tenantsOf(db, 'lines', 'order_id')).toEqual({ 1: '1', 2: '2', 3: '2' });
    expect(
      await db.query(
        `select v.at::text, o.slug from visits v left join tenantry.organizations o on o.id = v.tenant_id order by 1`,
      ),
    ).toEqual([
      { at: '2025-05-05', slug: 'one' },
      { at: '2025-08-08', slug: 'two' },
      { at: '2026-05-05', slug: 'two' },
      { at: '2026-06-06', slug: 'two' },
      { at: '2026-07-07', slug: 'two' },
    ]);
    expect(await db.query('select count(*)::int as n from products')).toEqual([{ n: 3 }]);
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await adopt.verify()).toEqual([]);
    // the second shop has a product y of its own now, with the picture of its own copy
    expect(
      await db.query(
        `select p.sku, p.shop_id, i.name, (i.tenant_id = p.tenant_id) as own from lines l join products p on p.id = l.product_id join pictures i on i.id = p.picture_id where l.order_id = 2`,
      ),
    ).toEqual([{ sku: 'y', shop_id: 2, name: 'b', own: true }]);
    const [foreign] = await db.query<{ n: number }>(
      `select (select count(*)::int from lines l join products p on p.id = l.product_id where p.tenant_id <> l.tenant_id)
            + (select count(*)::int from products p join pictures i on i.id = p.picture_id where i.tenant_id <> p.tenant_id)
            + (select count(*)::int from people p join pictures i on i.id = p.picture_id where i.tenant_id <> p.tenant_id) as n`,
    );
    expect(foreign).toEqual({ n: 0 });
    const two = await subject.as('2');
    expect(await answer(two, `insert into lines values (2, '00000000-0000-0000-0000-000000000003', 9)`)).toMatch(
      /^23503/,
    );
    expect(await db.query(`select slug from tenantry.organizations where slug = 'lost-property'`)).toHaveLength(1);
    await db.query(
      `delete from lines where order_id = 3; delete from orders where id = 3; delete from visits where at = '2025-08-08'`,
    );
    await db.query(
      `update teams set head = null where id = 4; delete from people where id = 41; delete from teams where id = 4`,
    );
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(await contents(db, tables)).toEqual(data);
    expect(await db.query('select 1 from tenantry.organizations')).toEqual([]);
  });

  test('an undo that was stopped, and the way forward again', async () => {
    const { adopt, db } = subject;
    const { plan } = await adopt.plan(decisions);
    const data = await contents(db, tables);
    await adopt.run(plan);
    const enforced = await dumpSchema(db.admin);
    for (const at of ['/pointed', '/copies']) {
      const stop = new AbortController();
      await adopt
        .undo({
          to: 'shadow',
          signal: stop.signal,
          onEvent: (event) => {
            if (event.type === 'step' && event.phase === 'enforced' && event.id.includes(at)) stop.abort();
          },
        })
        .then(
          () => expect.unreachable('it was stopped'),
          (error: unknown) => expect(error).toMatchObject({ code: 'TNT_INTERRUPTED' }),
        );
      expect((await adopt.run(null)).phase, at).toBe('enforced');
      expect(await adopt.verify(), at).toEqual([]);
      expect(await dumpSchema(db.admin), at).toBe(enforced);
    }
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await contents(db, tables)).toEqual(data);
  });

  test('decisions that make no sense are refused with the reason', async () => {
    const { adopt } = subject;
    const refused = async (table: string, decision: object, reason: string): Promise<void> => {
      const { 'public.products': _, ...tables } = decisions.tables;
      await expect(adopt.plan({ ...decisions, tables: { ...tables, [table]: decision } }), reason).rejects.toThrow(
        reason,
      );
    };
    await refused('public.shops', { conflicts: 'quarantine' }, 'the rows of the root are the tenants');
    await refused(
      'public.visits',
      { class: 'owned', via: ['team_id'], rows: { '(1)': 'quarantine' } },
      'has no primary key',
    );
    await refused('public.pictures', { class: 'shared', sharedRows: 'duplicate' }, 'give it class owned');
    await refused('public.pictures', { class: 'owned' }, 'no foreign key leads from it');
    await refused('public.pictures', { class: 'owned', sharedRows: 'share' }, 'is what class shared means');
    await refused(
      'public.orders',
      { class: 'owned', via: ['shop_id'], sharedRows: 'quarantine' },
      'is for tables without a way',
    );
    await refused('public.orders', { class: 'owned', via: ['shop_id'], sharedRows: 'duplicate' }, 'has no default');
    await refused('public.lines', { class: 'owned', via: ['order_id'], sharedRows: 'duplicate' }, 'has 2 columns');
  });
});
