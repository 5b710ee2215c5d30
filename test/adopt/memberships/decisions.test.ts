import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, type PlanDecisions } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { byJoinTable, members } from './old-tables.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  // no constraint holds these tables together
  await db.query(`
    create table org (id integer primary key, title text);
    create table "user" (id integer primary key, email text, full_name text);
    create table org_user (user_id integer, org_id integer, role text);
    create table role (id integer primary key);
    insert into org values (1, 'One'), (2, 'Two'), (3, 'Three');
    insert into "user" values (1, 'ann@example.com', 'Ann'), (2, 'bob@example.com', 'Bob'), (3, 'cy@example.com', 'Cy');
    insert into org_user values (1, 1, 'admin'), (2, 1, 'x'), (3, 2, 'admin')`);
  before = await dumpSchema(db.admin);
});
afterEach(async () => {
  if ((await adopt().status())?.status === 'open') await adopt().undo();
  await db.query('delete from tenantry.organizations; delete from tenantry.users');
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const adopt = () => createAdopt({ adminPool: pool });
const decisions = (more: { duplicates?: 'merge'; without_email?: 'skip'; dangling?: 'skip' }): PlanDecisions => {
  const { dangling, ...users } = more;
  const { memberships, ...rest } = byJoinTable;
  return {
    ...rest,
    tables: { ...rest.tables, 'public.org_user': { class: 'shared' } },
    memberships: {
      ...memberships,
      users: { ...memberships.users, ...users },
      ...(dangling === undefined ? {} : { dangling }),
    },
  };
};
const start = async (more: Parameters<typeof decisions>[0] = {}): Promise<void> => {
  const { plan } = await adopt().plan(decisions(more));
  await adopt().run(plan, { to: 'backfill' });
};
const findings = async (): Promise<string[]> =>
  (await adopt().verify()).flatMap(({ message, keys }) => `${message}: ${keys.join('; ')}`);

describe('old users that are not one person with one address each', () => {
  test('E4: are listed and refused, by plan and by run, before anything is changed', async () => {
    const { plan } = await adopt().plan(decisions({}));
    await db.query(`
      insert into "user" values (4, ' ANN@example.com', 'Ann again'), (5, null, 'Nobody'), (6, 'no address', 'Nobody');
      insert into org_user values (9, 1, null), (1, 7, null)`);
    const refused = {
      code: 'TNT_ADOPT_MEMBERSHIPS',
      details: {
        problems: [
          expect.objectContaining({ what: 'users without a usable e-mail address', rows: 2, keys: ['5', '6'] }),
          expect.objectContaining({ what: 'e-mail addresses of several users', keys: ['1 = 4'] }),
          expect.objectContaining({
            what: 'memberships without their user or organization',
            keys: ['user 1 in 7', 'user 9 in 1'],
          }),
        ],
      },
    };
    await expect(adopt().plan(decisions({}))).rejects.toMatchObject(refused);
    await expect(adopt().run(plan)).rejects.toMatchObject(refused);
    expect(await adopt().status()).toBeNull();
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(await db.query('select count(*)::int as n from tenantry.users')).toEqual([{ n: 0 }]);
  });

  test('E4: and old tables whose own policies would hide their rows are refused as well', async () => {
    await db.query('alter table org_user enable row level security');
    await expect(
      adopt().plan(decisions({ dangling: 'skip', duplicates: 'merge', without_email: 'skip' })),
    ).rejects.toMatchObject({
      code: 'TNT_ADOPT_MEMBERSHIPS',
      details: { problems: [{ keys: ['public.org_user'] }] },
    });
    await db.query('alter table org_user disable row level security');
  });

  test('E4: are merged, left out and skipped where the plan says so', async () => {
    await db.query(`insert into org_user values (4, 2, 'x'), (4, 1, 'x'), (5, 1, 'x')`);
    const all = { duplicates: 'merge', without_email: 'skip', dangling: 'skip' } as const;
    const { memberships } = await adopt().plan(decisions(all));
    expect(memberships).toEqual({ users: 3, memberships: 4, withoutAdmin: 0, otherRoles: ['x'] });
    await start(all);
    expect(await members(db)).toEqual([
      'ann@example.com 1 admin',
      'ann@example.com 2 member',
      'bob@example.com 1 member',
      'cy@example.com 2 admin',
    ]);
    expect(await findings()).toEqual([]);
    // one of two rows goes, and what only it had goes with it
    await db.query(`delete from "user" where id = 4`);
    expect((await members(db)).filter((line) => line.startsWith('ann'))).toEqual(['ann@example.com 1 admin']);
    // an address comes, and its memberships with it
    await db.query(`update "user" set email = 'eve@example.com' where id = 5`);
    expect(await members(db)).toContain('eve@example.com 1 member');
    await db.query(
      `delete from "user" where id in (5, 6); delete from org_user where user_id in (4, 5, 9) or org_id = 7`,
    );
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
  });

  test('E4, E5: that come later do not stop the old application: they wait, and verify lists them', async () => {
    await start();
    await db.query(
      `insert into "user" values (7, 'BOB@example.com ', 'Other'), (8, null, 'Nobody'); insert into org_user values (7, 3, 'admin'), (8, 3, 'x'), (9, 3, 'x'), (1, 9, 'x')`,
    );
    expect((await members(db)).filter((line) => line.includes(' 3 '))).toEqual([]);
    expect(await findings()).toEqual([
      '1 membership of the old tables missing: user 7 in 3',
      '1 user without a usable e-mail address: 8',
      '1 e-mail address of several users: 2 = 7',
      '2 memberships without their user or organization: user 1 in 9; user 9 in 3',
    ]);
    await expect(adopt().run(null, { to: 'verify' })).rejects.toMatchObject({ code: 'TNT_ADOPT_VERIFY_FAILED' });
    await db.query(
      `delete from org_user where user_id in (7, 8, 9) or org_id = 9; delete from "user" where id in (7, 8)`,
    );
    await adopt().run(null, { to: 'verify' });
  });
});

describe('the directory keeps its rules', () => {
  test('E4: the last administrator stays until there is another, and verify says so', async () => {
    await start();
    await db.query(`delete from org_user where user_id = 1`);
    expect(await members(db)).toContain('ann@example.com 1 admin');
    expect(await findings()).toEqual([
      '1 administrator gone from the old tables, kept because the organization has no other: name another one: user 1 in 1',
    ]);
    await db.query(`update org_user set role = 'admin' where user_id = 2 and org_id = 1`);
    expect(await members(db)).toEqual(['bob@example.com 1 admin', 'cy@example.com 2 admin']);
    expect(await findings()).toEqual([]);
    // both at once, the way a hand-over is written
    await db.query(`update org_user set role = case user_id when 3 then 'x' else 'admin' end where org_id = 2`);
    expect(await members(db)).toContain('cy@example.com 2 admin');
    await db.query(`insert into org_user values (1, 2, 'admin')`);
    expect(await members(db)).toContain('cy@example.com 2 member');
    await db.query(`delete from org_user; insert into org_user values (1, 1, 'admin'), (2, 1, 'x'), (3, 2, 'admin')`);
    expect(await findings()).toEqual([]);
  });

  test('E4: what was there before and what came by itself is left alone, by the adoption and by its undo', async () => {
    await db.query(`
      insert into tenantry.users (email, name) values ('bob@example.com', 'Robert'), ('zoe@example.com', 'Zoe');
      insert into tenantry.organizations (name, slug, key) values ('Two before', 'two', '2');
      insert into tenantry.org_members (tenant_id, user_id, role) select o.id, u.id, 'member' from tenantry.organizations o, tenantry.users u where u.email = 'zoe@example.com'`);
    const snapshot = async () =>
      db.query(
        `select u.email, u.name, o.name as organization, m.role from tenantry.users u left join tenantry.org_members m on m.user_id = u.id left join tenantry.organizations o on o.id = m.tenant_id order by 1, 3`,
      );
    const was = await snapshot();
    await start();
    expect(await members(db)).toEqual([
      'ann@example.com 1 admin',
      'bob@example.com 1 member',
      'cy@example.com 2 admin',
      'zoe@example.com 2 member',
    ]);
    expect(await db.query(`select name from tenantry.users where email = 'bob@example.com'`)).toEqual([
      { name: 'Robert' },
    ]);
    expect(await findings()).toEqual([]);
    await adopt().undo();
    expect(await snapshot()).toEqual(was);
    // whoever joined elsewhere meanwhile stays, and so does an organization that somebody joined, with its administrators
    await start();
    await db.query(`
      insert into tenantry.organizations (name, slug, created_by) select 'Own', 'own', id from tenantry.users where email = 'cy@example.com';
      insert into tenantry.org_members (tenant_id, user_id, role) select o.id, u.id, 'member' from tenantry.organizations o, tenantry.users u where o.key = '1' and u.email = 'zoe@example.com'`);
    await adopt().undo();
    expect((await snapshot()).map((row) => Object.values(row).join(' | '))).toEqual([
      'ann@example.com | Ann | One | admin',
      'bob@example.com | Robert |  | ',
      'cy@example.com | Cy | Own | admin',
      'zoe@example.com | Zoe | One | member',
      'zoe@example.com | Zoe | Two before | member',
    ]);
  });

  test('E4: a run that is stopped between two batches goes on there, and a second one changes nothing', async () => {
    await db.query(
      `insert into "user" select n, 'many' || n || '@example.com', null from generate_series(100, 499) n; insert into org_user select n, 1 + n % 3, 'x' from generate_series(100, 499) n`,
    );
    const { plan } = await adopt().plan(decisions({}));
    await adopt().run(plan, { to: 'expand' });
    const stop = new AbortController();
    let batches = 0;
    await expect(
      adopt().run(null, {
        to: 'backfill',
        signal: stop.signal,
        onEvent: (event) => {
          if (event.type === 'progress' && event.table === 'public."user"' && (batches += 1) === 2) stop.abort();
        },
      }),
    ).rejects.toMatchObject({ code: 'TNT_INTERRUPTED' });
    const [part] = await db.query<{ n: number }>('select count(*)::int as n from tenantry.org_members');
    expect(part!.n).toBeGreaterThan(50);
    expect(part!.n).toBeLessThan(400);
    await adopt().run(null, { to: 'verify' });
    expect((await members(db)).length).toBe(403);
    const ids = async () =>
      db.query('select user_id, tenant_id, created_at, updated_at from tenantry.org_members order by 1, 2');
    const was = await ids();
    await adopt().undo({ to: 'expand' });
    await adopt().run(null, { to: 'verify' });
    expect(await ids()).toEqual(was);
    await db.query('delete from org_user where user_id >= 100; delete from "user" where id >= 100');
  });
});

describe('a declaration that does not fit', () => {
  const text = (part: string): string =>
    `version: 1
root: { table: public.org }
memberships:
  users: { table: 'public."user"', key: id, email: email }
  from:
    - ${part}
`;
  test.each([
    [
      '{ table: public.nothing, user: user_id, organization: org_id }',
      'memberships.from.0.table: there is no table public.nothing',
    ],
    ['{ table: public.org_user, user: nobody, organization: org_id }', 'public.org_user has no column nobody'],
    ['{ table: public.org_user, user: user_id }', "needs the column with the organization's key"],
    ['{ table: public.org_user, user: user_id, organizations: org_id }', 'org_id is integer, not an array'],
    [
      '{ table: public.org_user, user: user_id, organization: org_id, role: role, roles: { a: owner } }',
      'must be admin, member or none',
    ],
    ['{ table: public.org_user, user: user_id, organization: org_id, rolle: role }', 'rolle'],
  ])('is refused with its line: %s', async (part, message) => {
    await expect(adopt().plan(text(part))).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
      message: expect.stringContaining(message),
      details: { line: 6 },
    });
  });
});
