import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { selectHorizon } from '../../src/adopt/preflight-queries.ts';
import type { TenantryError } from '../../src/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(`
    create table shops (id bigint primary key, name text);
    create table items (id bigint primary key, shop_id bigint not null references shops (id), name text, price numeric);
    create table days (item_id bigint not null, day date not null) partition by range (day);
    create table days_1 partition of days for values from ('2026-01-01') to ('2026-02-01');
    create table days_2 partition of days for values from ('2026-02-01') to ('2026-03-01');
    alter table days_1 add foreign key (item_id) references items (id);
  `);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

/** The codes that preflight finds with something in place, and those that it finds without. */
async function findings(up: string, down: string): Promise<{ found: string[]; without: string[] }> {
  const adopt = createAdopt({ adminPool: pool });
  const look = async (): Promise<string[]> => {
    const { plan } = await adopt.plan({ root: 'public.shops' });
    return (await adopt.preflight(plan)).map((finding) => `${finding.level} ${finding.code} ${finding.object}`);
  };
  const without = await look();
  await db.query(up);
  try {
    return { found: await look(), without };
  } finally {
    await db.query(down);
  }
}

const cases: readonly {
  readonly name: string;
  readonly finding: string;
  readonly up: string;
  readonly down: string;
}[] = [
  {
    name: 'row-level security that is forced upon the owner',
    finding: 'blocker row-security-forced public.items',
    up: 'alter table items force row level security',
    down: 'alter table items no force row level security',
  },
  {
    name: 'a deferrable key',
    finding: 'note deferrable-key public.items',
    up: 'alter table items alter constraint items_shop_id_fkey deferrable',
    down: 'alter table items alter constraint items_shop_id_fkey not deferrable',
  },
  {
    name: 'a key that was never validated',
    finding: 'warning unvalidated-key public.items',
    up: 'alter table items add constraint again foreign key (shop_id) references shops (id) not valid; alter table items drop constraint items_shop_id_fkey',
    down: 'alter table items drop constraint again; alter table items add constraint items_shop_id_fkey foreign key (shop_id) references shops (id)',
  },
  {
    name: 'a trigger that writes elsewhere',
    finding: 'note trigger-writes public.items',
    up: `create function log_item() returns trigger language plpgsql as $$ begin insert into days values (new.id, now()); return new; end $$;
         create trigger log after insert on items for each row execute function log_item()`,
    down: 'drop trigger log on items; drop function log_item()',
  },
  {
    name: 'a trigger that the backfill would fire',
    finding: 'note trigger-suspended public.items',
    up: `create function keep() returns trigger language plpgsql as $$ begin return new; end $$;
         create trigger keep before update on items for each row execute function keep()`,
    down: 'drop trigger keep on items; drop function keep()',
  },
  {
    name: 'a constraint trigger that the backfill cannot put to sleep',
    finding: 'warning constraint-trigger public.items',
    up: `create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
         create constraint trigger keep after update on items for each row execute function keep()`,
    down: 'drop trigger keep on items; drop function keep()',
  },
  {
    name: 'a publication',
    finding: 'warning publication public.items',
    up: 'create publication sent for table items',
    down: 'drop publication sent',
  },
  {
    name: 'a materialized view',
    finding: 'warning materialized-view public.totals',
    up: 'create materialized view totals as select shop_id, count(*) from items group by 1',
    down: 'drop materialized view totals',
  },
  {
    name: 'a view of an owner whom no policy will bind',
    finding: 'warning view-above-policies public.seen',
    up: 'create view seen as select * from items',
    down: 'drop view seen',
  },
  {
    name: 'an index whose operators are not leakproof',
    finding: 'warning non-leakproof-index public.items',
    up: 'create index on items (price)',
    down: 'drop index items_price_idx',
  },
];

describe('preflight finds what made others’ retrofits fail, and is silent without it', () => {
  for (const { name, finding, up, down } of cases) {
    test(name, async () => {
      const { found, without } = await findings(up, down);
      expect(found).toContain(finding);
      expect(without).not.toContain(finding);
    });
  }

  test('partitions without the key that others have, and tables without a primary key', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const found = await adopt.preflight(plan);
    expect(found.find((finding) => finding.code === 'partition-without-key')?.message).toContain(
      'not on public.days_2',
    );
    expect(found.find((finding) => finding.code === 'no-primary-key')?.object).toBe('public.days');
  });

  test('a session that holds an old snapshot', async () => {
    const holder = new pg.Client({ connectionString: db.adminUrl });
    await holder.connect();
    await holder.query('begin isolation level repeatable read; select 1');
    const { processID } = holder as unknown as { processID: number };
    expect((await selectHorizon(pool, 0)).map((found) => found.holder)).toContain(
      `session ${processID} (tenantry_admin)`,
    );
    await holder.query('rollback');
    expect((await selectHorizon(pool, 0)).map((found) => found.holder)).not.toContain(
      `session ${processID} (tenantry_admin)`,
    );
    await holder.end();
  });

  test('what blocks is refused by run, before anything is changed', async () => {
    await db.query('alter table items force row level security');
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const error = await adopt.run(plan).then(
      () => undefined,
      (e: TenantryError) => e,
    );
    await db.query('alter table items no force row level security');
    expect(error).toMatchObject({
      code: 'TNT_PLAN_INVALID',
      hint: 'alter table public.items no force row level security;',
    });
    expect(await adopt.status()).toBeNull();
  });

  test('a pool that is too small is refused at once', () => {
    const small = new pg.Pool({ connectionString: db.adminUrl, max: 2 });
    expect(() => createAdopt({ adminPool: small })).toThrow(/at least 4 connections/);
  });
});

describe('a table that another tool changed', () => {
  test('a table dropped in mid-adoption is one clear error, and undo takes back the rest', async () => {
    await db.query('create table extras (id bigint primary key, item_id bigint not null references items (id))');
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'backfill' });
    await db.query('drop table extras');
    const error = await adopt.run(null).then(
      () => undefined,
      (e: TenantryError) => e,
    );
    expect(error).toMatchObject({ code: 'TNT_PLAN_DRIFTED' });
    expect(error?.message).toContain('public.extras');
    const undone = await adopt.undo();
    // only what the other tool did is left
    expect(undone.differences.every((line) => line.startsWith('- ') && line.includes('extras'))).toBe(true);
    expect(
      await db.query(
        `select proname from pg_proc p where p.pronamespace = 'tenantry'::regnamespace and proname ~ '^adopt_(fill|cascade|settle)'`,
      ),
    ).toEqual([]);
  });

  test('a view that somebody made on the tenant column stops undo with one clear error, and undo goes on without it', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    await db.query('create view by_tenant as select tenant_id, count(*) from items group by 1');
    const error = await adopt.undo().then(
      () => undefined,
      (e: TenantryError) => e,
    );
    expect(error).toMatchObject({ code: 'TNT_PLAN_DRIFTED' });
    expect(error?.message).toContain('other objects depend on it');
    await db.query('drop view by_tenant');
    expect((await adopt.undo()).differences).toEqual([]);
  });
});

describe('views of the application', () => {
  test('a view that would show every tenant’s rows is told with a remedy that works; one that asks as its caller is none', async () => {
    await db.query(`create view seen as select * from items; insert into shops values (1, 'One'), (2, 'Two');
      insert into items values (1, 1, 'a', 1), (2, 2, 'b', 1)`);
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const warned = (await adopt.preflight(plan)).filter(({ code }) => code === 'view-above-policies');
    expect(warned).toMatchObject([{ object: 'public.seen' }]);
    await adopt.run(plan);
    await db.query('grant select on seen to tenantry_app');
    const app = new pg.Client({ connectionString: db.appUrl });
    await app.connect();
    await app.query(
      `select set_config('app.tenant_id', '${(await db.query<{ id: string }>(`select id from tenantry.organizations where key = '1'`))[0]!.id}', false)`,
    );
    expect((await app.query('select id from seen order by id')).rows).toHaveLength(2);
    await db.query(warned[0]?.fix ?? '');
    expect((await app.query('select id from seen order by id')).rows).toEqual([{ id: '1' }]);
    await app.end();
    await adopt.undo();
    expect(
      (await adopt.preflight((await adopt.plan({ root: 'public.shops' })).plan)).map(({ code }) => code),
    ).not.toContain('view-above-policies');
    await db.query('drop view seen; delete from items; delete from shops');
  });
});
