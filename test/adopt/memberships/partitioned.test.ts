import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { byJoinTable, members, oldMembers, oldTables } from './old-tables.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const shapes = {
  partitions: `
    create table org_user (user_id bigint not null references "user" (id) on delete cascade, org_id integer not null references org (id), role text, primary key (user_id, org_id)) partition by range (org_id);
    create table org_user_low partition of org_user for values from (0) to (4);
    create table org_user_high partition of org_user for values from (4) to (1000) partition by hash (user_id);
    create table org_user_high_0 partition of org_user_high for values with (modulus 2, remainder 0);
    create table org_user_high_1 partition of org_user_high for values with (modulus 2, remainder 1);`,
  inheritance: `
    create table org_user (user_id bigint not null, org_id integer not null, role text);
    create table org_user_low () inherits (org_user);
    create table org_user_high_0 () inherits (org_user);
    create table org_user_high_1 () inherits (org_user_high_0);`,
};

const shared = Object.fromEntries(
  ['org_user', 'org_user_low', 'org_user_high_0', 'org_user_high_1'].map((name) => [
    `public.${name}`,
    { class: 'shared' as const },
  ]),
);

let db: TestDatabase;
let pool: pg.Pool;
beforeEach(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
});
afterEach(async () => {
  await pool.end();
  await db.drop();
});

describe('a join table whose rows stand in tables of their own', () => {
  test.each(Object.entries(shapes))(
    'E4: by %s: every way in, out and about is followed, and undo leaves nothing',
    async (shape, text) => {
      await db.query(oldTables);
      await db.query(`alter table org_user rename to flat; ${text}`);
      await db.query(
        shape === 'partitions'
          ? 'insert into org_user select * from flat'
          : `insert into org_user_low select * from flat where org_id < 4; insert into org_user_high_0 select * from flat where org_id = 4;
             insert into org_user_high_1 select * from flat where org_id = 5; insert into org_user select * from flat where org_id > 5`,
      );
      await db.query(`drop table flat; analyze`);
      // one who is administrator everywhere, so that no rule of the directory stands in the way of the others
      await db.query(`delete from org_user where user_id = 40; insert into org_user select 40, id, 'admin' from org`);
      const before = await dumpSchema(db.admin);
      const adopt = createAdopt({ adminPool: pool });
      const { plan } = await adopt.plan({
        ...byJoinTable,
        ...(shape === 'inheritance' ? { tables: { ...byJoinTable.tables, ...shared } } : {}),
      });
      await adopt.run(plan, { to: 'verify' });
      expect(await members(db)).toEqual(await oldMembers(db));
      for (const change of [
        `insert into org_user values (1, 1, 'admin'), (1, 6, null) on conflict do nothing`,
        `insert into org_user_low values (3, 2, 'editor')`,
        `insert into org_user_high_1 select id, 5, 'admin' from "user" u where u.id in (8, 9, 11, 12) and not exists (select from org_user x where x.user_id = u.id and x.org_id = 5)
           ${shape === 'partitions' ? "and satisfies_hash_partition((select oid from pg_class where relname = 'org_user_high'), 2, 1, id)" : ''}`,
        // a row that goes from one of the tables to another
        `update org_user set org_id = 5 where org_id = 2 and user_id = 3`,
        `update org_user set role = 'reader' where org_id = 5 and user_id <> 40`,
        `delete from org_user_low where org_id = 2 and user_id <> 40`,
        `delete from org_user where org_id = 5 and user_id <> 40`,
        `truncate org_user_high_0`,
      ]) {
        await db.query(change).catch((error: Error) => expect.unreachable(`${change}: ${error.message}`));
        const wanted = await oldMembers(db);
        const found = (await members(db)).filter((line) => !line.startsWith('person40@') || wanted.includes(line));
        expect(found, change).toEqual(wanted);
      }
      expect((await adopt.status())?.missed).toEqual([]);
      expect((await adopt.undo()).differences).toEqual([]);
      expect(await dumpSchema(db.admin)).toBe(before);
      expect(await db.query('select 1 from tenantry.users')).toEqual([]);
    },
  );
});
