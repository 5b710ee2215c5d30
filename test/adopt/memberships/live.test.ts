import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { byJoinTable, members, oldMembers, oldTables } from './old-tables.ts';
import { analyzeHost } from '../support/analyze.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
const oldLogin = `old_app_${randomBytes(4).toString('hex')}`;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 8 });
  await db.query(oldTables);
  // one who is administrator everywhere, so that no rule of the directory stands in the way of the others
  await db.query(
    `insert into org_user select 40, id, 'admin' from org on conflict (user_id, org_id) do update set role = 'admin'`,
  );
  await db.query(
    `create role ${oldLogin}; grant ${oldLogin} to tenantry_admin; grant all on all tables in schema public to ${oldLogin}; grant all on all sequences in schema public to ${oldLogin}`,
  );
  await analyzeHost(db);
  before = await dumpSchema(db.admin);
});
afterAll(async () => {
  await pool.end();
  await db.query(`drop owned by ${oldLogin}; drop role ${oldLogin}`);
  await db.drop();
});

const adopt = () => createAdopt({ adminPool: pool });
const same = async (): Promise<void> => expect(await members(db)).toEqual(await oldMembers(db));

/** What old code does to its tables, one statement each. `$` stands for a number of its own. */
const changes = [
  `insert into "user" (email, full_name) values ('New$@Example.com', 'New $')`,
  `insert into org_user select max(id), 1, 'admin' from "user"`,
  `update org_user set role = case role when 'admin' then 'reader' else 'admin' end where org_id in (1, 2) and user_id % 5 = 0 and user_id <> 40`,
  `delete from org_user where user_id = (select min(user_id) from org_user where role is distinct from 'admin')`,
  `update org_user set org_id = 5 where org_id = 4 and user_id = (select max(user_id) from org_user where org_id = 4) and user_id not in (select user_id from org_user where org_id = 5)`,
  `update "user" set email = 'moved$@example.com' where id = (select max(id) from "user")`,
  `update "user" set full_name = 'Renamed $', meta = '{"a": 1}' where id = 40`,
  `delete from "user" where id = (select min(u.id) from "user" u where not exists (select from org_user x where x.user_id = u.id and x.role = 'admin'))`,
  `with o as (insert into org (title) values ('Fresh $') returning id) insert into org_user select u.id, o.id, 'admin' from o, "user" u where u.id % 9 = 1`,
  `with u as (insert into "user" (email) select 'batch' || n || '-$@example.com' from generate_series(1, 20) n returning id) insert into org_user select u.id, 2 + u.id % 3, 'reader' from u`,
  `insert into org_user select id, 3, 'admin' from "user" where id % 4 = 0 on conflict (user_id, org_id) do update set role = excluded.role`,
  // an address that other rows had a moment ago
  `update "user" set email = 'swap-' || email where id in (5, 6)`,
];

describe('old code goes on writing', () => {
  test('E4, E5: what changes in the old tables changes in the new ones, in every phase up to enforced', async () => {
    const { plan } = await adopt().plan(byJoinTable);
    let number = 0;
    for (const to of ['expand', 'backfill', 'tighten', 'enforced'] as const) {
      await adopt().run(to === 'expand' ? plan : null, { to });
      for (const change of changes) {
        number += 1;
        // as a login that may write the old tables and nothing else, until policies ask for a tenant
        const role = to === 'enforced' ? '' : `set local role ${oldLogin}; `;
        await db
          .query(`begin; ${role}${change.replaceAll('$', String(number))}; commit`)
          .catch((error: Error) => expect.unreachable(`${to}: ${change}: ${error.message}`));
        if (to !== 'expand') expect(await members(db), `${to}: ${change}`).toEqual(await oldMembers(db));
      }
    }
    // a new organization and its members in one transaction, the members first
    await db.query(
      `begin; set constraints all deferred; insert into org_user values (10, 900, 'admin'), (11, 900, null); insert into org (id, title) values (900, 'Late'); commit`,
    );
    await same();
    expect(await db.query(`select name from tenantry.users where email_key = 'person40@example.com'`)).toMatchObject([
      { name: expect.stringMatching(/^Renamed/) },
    ]);
    expect(await adopt().verify()).toEqual([]);
    await db.query('truncate org_user');
    // the last administrator of each stays: an organization that has some keeps one
    expect((await members(db)).every((line) => line.endsWith('admin'))).toBe(true);
    expect((await adopt().undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(
      await db.query(
        'select (select count(*) from tenantry.users)::int + (select count(*) from tenantry.organizations)::int as n',
      ),
    ).toEqual([{ n: 0 }]);
  });

  test('E4: many clients at once, through the whole run: no statement of theirs fails, and nothing is lost', async () => {
    await db.query('truncate org_user, "user", org restart identity cascade');
    await db.query(`
      insert into org (title) select 'Org ' || n from generate_series(1, 12) n;
      insert into "user" (email) select 'p' || n || '@example.com' from generate_series(1, 600) n;
      insert into org_user select u.id, 1 + (u.id * 7) % 12, 'reader' from "user" u;
      insert into org_user select 1, id, 'admin' from org on conflict (user_id, org_id) do update set role = 'admin'`);
    const { plan } = await adopt().plan(byJoinTable);
    const failures: string[] = [];
    let going = true;
    let statements = 0;
    let deadlocks = 0;
    const worker = async (seed: number): Promise<void> => {
      const client = new pg.Client({ connectionString: db.adminUrl });
      await client.connect();
      let state = seed;
      const random = (below: number): number => {
        state = (state * 48271) % 2147483647;
        return state % below;
      };
      while (going) {
        // never user 1, who is administrator everywhere
        const user = 2 + random(599);
        const other = 2 + random(599);
        const org = 1 + random(12);
        const choices = [
          `insert into org_user values (${user}, ${org}, 'editor'), (${other}, ${org}, 'admin') on conflict do nothing`,
          `delete from org_user where user_id in (${user}, ${other})`,
          `update org_user set role = (array['admin', 'reader'])[1 + ${random(2)}] where user_id = ${user}`,
          `begin; insert into org_user values (${user}, ${org}, 'reader') on conflict do nothing; insert into org_user values (${other}, ${1 + random(12)}, 'admin') on conflict do nothing; commit`,
          `insert into "user" (email) values ('c${seed}-${statements}@example.com')`,
          `update "user" set email = 'e${seed}-${statements}@example.com' where id = ${user}`,
          `begin; delete from org_user where user_id = ${user}; rollback`,
        ];
        const text = choices[random(choices.length)] ?? '';
        statements += 1;
        try {
          await client.query(text);
        } catch (error) {
          // two clients may want each other's rows in the old tables themselves, as before
          const { code, message, detail } = error as pg.DatabaseError;
          if (code !== '40P01') failures.push(`${code ?? ''} ${message} ${detail ?? ''}: ${text}`);
          else deadlocks += 1;
          await client.query('rollback');
        }
      }
      await client.end();
    };
    const workers = [1, 2, 3, 4].map(worker);
    await adopt().run(plan, { to: 'enforced' });
    going = false;
    await Promise.all(workers);
    expect(failures).toEqual([]);
    expect(deadlocks).toBeLessThanOrEqual(2);
    expect(statements).toBeGreaterThan(50);
    expect(await adopt().verify()).toEqual([]);
    await same();
    await adopt().undo();
  });

  test('E4: two sources that give up one membership at the same moment give it up', async () => {
    await db.query(
      `update "user" set org_ids = '{2}' where id in (2, 3); insert into org_user values (2, 2, 'reader') on conflict do nothing`,
    );
    const [source] = byJoinTable.memberships.from;
    const { plan } = await adopt().plan({
      ...byJoinTable,
      memberships: {
        ...byJoinTable.memberships,
        from: [source, { table: 'public.user', user: 'id', organizations: 'org_ids' }],
      },
    });
    await adopt().run(plan, { to: 'backfill' });
    const ofTwo = async () =>
      db.query(
        `select m.role from tenantry.org_members m join tenantry.organizations o on o.id = m.tenant_id join tenantry.adoption_user_keys k on k.user_id = m.user_id where o.key = '2' and k.old_key = '2'`,
      );
    expect((await ofTwo()).length).toBe(1);
    const first = new pg.Client({ connectionString: db.adminUrl });
    await first.connect();
    await first.query('begin');
    await first.query('delete from org_user where user_id = 2 and org_id = 2');
    const second = db.query(`update "user" set org_ids = '{}' where id = 2`);
    await expect
      .poll(
        () =>
          db.query(
            `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          ),
        { timeout: 20_000 },
      )
      .toEqual([{ n: 1 }]);
    await first.query('commit');
    await first.end();
    await second;
    expect(await ofTwo()).toEqual([]);
    expect(await adopt().verify()).toEqual([]);
    await adopt().undo();
  });

  test('B7, E4: what a trigger could not follow is told by status and SQL without its values, fails nobody, and is followed by the next run', async () => {
    await adopt().run((await adopt().plan(byJoinTable)).plan, { to: 'backfill' });
    expect((await adopt().status())?.missed).toEqual([]);
    await db.query(
      `alter table tenantry.users add constraint no_such check (email not like 'poison%');
       create function tenantry.refuse() returns trigger language plpgsql as $$ begin if new.email like 'secret%' then raise exception 'value "%" is refused', new.email; end if; return new; end $$;
       create trigger refuse before insert or update on tenantry.users for each row execute function tenantry.refuse()`,
    );
    const [row] = await db.query<{ id: number }>(
      `insert into "user" (email) values ('poison@example.com') returning id`,
    );
    await db.query(`insert into "user" (email) values ('secret2@example.com')`);
    expect(await db.query('select 1 from "user" where id = $1', [row!.id])).toHaveLength(1);
    const status = await adopt().status();
    expect(status?.missed.map(({ table, sqlstate }) => [table, sqlstate])).toEqual([
      ['public."user"', '23514'],
      ['public."user"', 'P0001'],
    ]);
    expect(JSON.stringify(status?.missed)).not.toContain('secret');
    expect((await tenantry(['adopt', 'status'], { DATABASE_URL: db.adminUrl })).out).toContain(
      'changes of public."user" could not be followed (P0001 value … is refused)',
    );
    await db.query(
      'drop trigger refuse on tenantry.users; drop function tenantry.refuse(); alter table tenantry.users drop constraint no_such',
    );
    await adopt().run(null, { to: 'backfill' });
    expect((await adopt().status())?.missed).toEqual([]);
    await same();
    expect((await adopt().undo()).differences).toEqual([]);
  });
});
