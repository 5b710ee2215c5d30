import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, type PlanDecisions } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { byJoinTable, members, oldTables } from './old-tables.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(oldTables);
  await db.query(`
    alter table "user" add column teams jsonb, add column deleted_at timestamptz;
    update "user" set org_ids = array(select 1 + (id + n) % 6 from generate_series(0, id::int % 3) n), role_ids = array(select 1 + (id + n) % 3 from generate_series(0, id::int % 4) n);
    update "user" set teams = to_jsonb(org_ids), deleted_at = case when id % 10 = 0 then now() end`);
  before = await dumpSchema(db.admin);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

const adopt = () => createAdopt({ adminPool: pool });
// as a person writes it: the name is quoted where SQL needs it
const users = { table: 'public.user', key: 'id', email: 'email', name: 'full_name' } as const;
const root = { root: byJoinTable.root, tables: byJoinTable.tables } as const;

async function truth(text: string): Promise<string[]> {
  return (
    await db.query<{ line: string }>(
      `select lower(trim(email)) || ' ' || org || ' ' || role as line from (${text}) r order by 1`,
    )
  ).map(({ line }) => line);
}

const decided = (file: string): string[] => file.split('\n').filter((line) => !/^\s*#/.test(line));

/** Runs to verify, compares before and after a change of the old tables, and takes everything back. */
async function through(decisions: PlanDecisions, model: string, change: string): Promise<void> {
  const { plan, file } = await adopt().plan(decisions);
  expect((await adopt().plan(file)).plan.steps).toEqual(plan.steps);
  // without the comments: a table may be analyzed meanwhile
  expect(decided((await adopt().plan(file)).file)).toEqual(decided(file));
  await adopt().run(plan, { to: 'verify' });
  expect(await members(db)).toEqual(await truth(model));
  expect((await members(db)).length).toBeGreaterThan(10);
  await db.query(change);
  expect(await members(db)).toEqual(await truth(model));
  expect(await adopt().verify()).toEqual([]);
  expect((await adopt().undo()).differences).toEqual([]);
  expect(await dumpSchema(db.admin)).toBe(before);
  expect(
    await db.query(
      'select (select count(*) from tenantry.users)::int + (select count(*) from tenantry.organizations)::int as n',
    ),
  ).toEqual([{ n: 0 }]);
}

describe('the shapes that memberships come in', () => {
  test('E4: arrays of organizations, and of roles that count in each of them', async () => {
    await through(
      {
        ...root,
        memberships: {
          users,
          from: [
            {
              table: 'public."user"',
              user: 'id',
              organizations: 'org_ids',
              roles_column: 'role_ids',
              roles: { '1': 'admin', '*': 'member' },
            },
          ],
        },
      },
      `select u.email, o.id as org, case when 1 = any (u.role_ids) then 'admin' else 'member' end as role from "user" u join org o on o.id = any (u.org_ids)`,
      `update "user" set org_ids = org_ids || 6 where id % 7 = 0 and not 6 = any (org_ids); update "user" set role_ids = '{1}' where id < 12; update "user" set org_ids = org_ids[2:] where id = 5`,
    );
  });

  test('E4: roles by their place, a role that is no membership, and rows that do not count', async () => {
    await through(
      {
        ...root,
        memberships: {
          users: { ...users, where: 'deleted_at is null' },
          from: [
            {
              table: 'public."user"',
              user: 'id',
              organizations: 'org_ids',
              roles_column: 'role_ids',
              roles_by: 'position',
              roles: { '1': 'admin', '2': 'none' },
              where: 'deleted_at is null',
            },
          ],
        },
      },
      `select u.email, x.org, case x.role when 1 then 'admin' else 'member' end as role from "user" u, unnest(u.org_ids, u.role_ids) x(org, role)
       where x.org is not null and x.role is distinct from 2 and u.deleted_at is null`,
      `update "user" set deleted_at = case when id % 10 = 0 then null else now() end where id % 10 = 0 or id = 3; update "user" set role_ids = role_ids || 1 where id % 5 = 0`,
    );
  });

  test('E4: a JSON array, and two sources of which the higher role counts', async () => {
    await through(
      {
        ...root,
        memberships: {
          users,
          from: [
            { table: 'public."user"', user: 'id', organizations: 'teams' },
            {
              table: 'public.org_user',
              user: 'user_id',
              organization: 'org_id',
              role: 'role',
              roles: { admin: 'admin', editor: 'member', '*': 'none' },
            },
          ],
        },
      },
      `select u.email, o.id as org, case when exists (select from org_user x where x.user_id = u.id and x.org_id = o.id and x.role = 'admin') then 'admin' else 'member' end as role
       from "user" u, org o where u.teams @> to_jsonb(o.id) or exists (select from org_user x where x.user_id = u.id and x.org_id = o.id and x.role in ('admin', 'editor'))`,
      `update "user" set teams = '"none"' where id = 4; update "user" set teams = teams || '[2]' where id in (8, 9); insert into org_user select 12, id, 'admin' from org on conflict (user_id, org_id) do update set role = 'admin'`,
    );
  });

  test('E3, E4: with a constant organization everybody is a member of it', async () => {
    await through(
      {
        constant: 'System Tenant',
        memberships: {
          users,
          from: [{ table: 'public."user"', user: 'id', roles_column: 'role_ids', roles: { '1': 'admin' } }],
        },
      },
      `select email, 'system-tenant' as org, case when 1 = any (role_ids) then 'admin' else 'member' end as role from "user"`,
      `update "user" set role_ids = '{2}' where id = 2; insert into "user" (email, full_name) values ('late@example.com', 'Late')`,
    );
  });

  test('B7: one organization for each old developer, who is its administrator', async () => {
    await through(
      {
        root: 'public."user"',
        nameColumn: 'full_name',
        tables: {
          'public.org': { class: 'shared' },
          'public.project': { class: 'shared' },
          'public.role': { class: 'shared' },
        },
        memberships: {
          users,
          from: [{ table: 'public."user"', user: 'id', organization: 'id', roles: { '*': 'admin' } }],
        },
      },
      `select email, id as org, 'admin' as role from "user"`,
      `insert into "user" (email) values ('dev@example.com'); update "user" set email = 'dev40@example.com' where id = 40`,
    );
    await db.query(`delete from "user" where email in ('dev@example.com', 'late@example.com')`);
  });
});
