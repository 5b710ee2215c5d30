import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(
    `create domain code as text check (value ~ '^[A-Z]+$'); create domain day as date; create type tier as enum ('gold', 'silver', 'tin')`,
  );
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

interface Case {
  /** Columns of the root's key, `k1 text, k2 date`. */
  readonly columns: string;
  /** Three keys that exist, and a fourth that comes later: SQL values. */
  readonly keys: readonly [string, string, string, string];
  /** What `organizations.key` holds for the first one. */
  readonly first: string;
}

const cases: Record<string, Case> = {
  integer: { columns: 'k1 integer', keys: ['1', '22', '-3', '4'], first: '1' },
  // past what a double can tell apart
  bigint: {
    columns: 'k1 bigint',
    keys: ['9007199254740993', '9007199254740992', '-9223372036854775808', '9223372036854775807'],
    first: '9007199254740993',
  },
  text: { columns: 'k1 text', keys: [`'a:b'`, `'it''s %'`, `'ü'`, `'later'`], first: 'a:b' },
  uuid: {
    columns: 'k1 uuid',
    keys: [1, 2, 3, 4].map((n) => `'00000000-0000-4000-8000-00000000000${n}'`) as unknown as Case['keys'],
    first: '00000000-0000-4000-8000-000000000001',
  },
  'domain over text': { columns: 'k1 code', keys: [`'AA'`, `'BB'`, `'CC'`, `'DD'`], first: 'AA' },
  enum: { columns: `k1 tier`, keys: [`'gold'`, `'silver'`, `'gold'`, `'tin'`], first: 'gold' },
  'domain over date': {
    columns: 'k1 day',
    keys: [`'2024-02-03'`, `'2024-03-02'`, `'1999-12-31'`, `'2025-01-02'`],
    first: '2024-02-03',
  },
  'timestamp with time zone': {
    columns: 'k1 timestamptz',
    keys: [`'2024-02-03 04:05:06+00'`, `'2024-03-02 00:00:00.5+02'`, `'1999-12-31 00:00+00'`, `'2025-01-02 00:00+00'`],
    first: '2024-02-03T04:05:06',
  },
  // the parts joined by a colon are the same text for the first two
  'several columns': {
    columns: 'k1 text, k2 text, k3 date',
    keys: [
      `('a:b', 'c', '2024-02-03')`,
      `('a', 'b:c', '2024-02-03')`,
      `('a', 'b', '2024-03-02')`,
      `('z', '%3A', '2024-03-02')`,
    ],
    first: 'a%3Ab:c:2024-02-03',
  },
};

describe('a root table of any key', () => {
  test.each(Object.entries(cases))(
    'E2: %s goes to enforced and back, and keys mean the same in every session',
    async (_, { columns, keys, first }) => {
      const names = columns.split(', ').map((column) => column.split(' ')[0] ?? '');
      const list = names.join(', ');
      const row = (key: string): string => key.replace(/^\((.*)\)$/s, '$1');
      const three = [...new Set(keys.slice(0, 3))];
      await db.query(`
      create table account (${columns}, label text, primary key (${list}));
      create table note (id integer generated always as identity primary key, ${columns}, foreign key (${list}) references account on update cascade);
      create table line (id integer generated always as identity primary key, note_id integer not null references note on delete cascade);
      alter table note ${names.map((name) => `alter ${name} set not null`).join(', ')};
      ${three.map((key) => `insert into account values (${row(key)}, 'Label'); insert into note (${list}) select ${row(key)} from generate_series(1, 5);`).join('\n')}
      insert into line (note_id) select id from note, generate_series(1, 2)`);
      const before = await dumpSchema(db.admin);
      const adopt = createAdopt({ adminPool: pool });
      const { plan, file } = await adopt.plan({ root: 'public.account' });
      expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
      await adopt.run(plan, { to: 'backfill' });
      // the old application, in a session that writes dates its own way
      const old = new pg.Client({ connectionString: db.adminUrl });
      await old.connect();
      await old.query(`set datestyle = 'German'; set timezone = 'Asia/Tokyo'`);
      await old.query(`insert into account values (${row(keys[3])}, 'Later')`);
      await old.query(`insert into note (${list}) values (${row(keys[3])})`);
      await old.query(`insert into note (${list}) values (${row(keys[1])})`);
      await old.end();
      await adopt.run(null);
      expect(await adopt.verify()).toEqual([]);
      // the model: notes and their account carry the same tenant, no two accounts do, and each has its own organization
      expect(
        await db.query(`
        select count(*)::int as accounts, count(distinct a.tenant_id)::int as tenants, count(o.id)::int as organizations,
          (select count(*)::int from note n join account a using (${list}) where n.tenant_id is distinct from a.tenant_id) as wrong_notes,
          (select count(*)::int from line l join note n on n.id = l.note_id where l.tenant_id is distinct from n.tenant_id or l.tenant_id is null) as wrong_lines
        from account a left join tenantry.organizations o on o.id = a.tenant_id`),
      ).toEqual([
        {
          accounts: three.length + 1,
          tenants: three.length + 1,
          organizations: three.length + 1,
          wrong_notes: 0,
          wrong_lines: 0,
        },
      ]);
      expect(await db.query(`select count(*)::int as n from tenantry.organizations where key = $1`, [first])).toEqual([
        { n: 1 },
      ]);
      expect((await adopt.undo()).differences).toEqual([]);
      expect(await dumpSchema(db.admin)).toBe(before);
      await db.query('drop table line, note, account');
    },
  );
});
