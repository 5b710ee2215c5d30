import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createShop, items, type Shop } from './shop.ts';

let shop: Shop;
let session: Client;
const notices: string[] = [];

beforeAll(async () => {
  shop = await createShop(items);
  await shop.hostRuns(`
    create table public.parts (id int, tenant_id uuid, t text) partition by range (id);
    create table public.parts_a partition of public.parts for values from (0) to (16);
    create table public.parts_b partition of public.parts for values from (16) to (100);
    insert into public.parts select id, tenant_id, t from public.items;
    create view public.items_seen with (security_invoker = true) as select * from public.items;
    create view public.items_owned as select * from public.items;
    grant select on public.items_seen, public.items_owned to tenantry_app;
  `);
  await shop.isolation.shadow('items');
  await shop.isolation.shadow('parts');
  session = new Client({ connectionString: shop.db.appUrl });
  session.on('notice', ({ message, code }) => {
    if (code === '01T01') notices.push(message ?? '');
  });
  await session.connect();
});
afterAll(async () => {
  await session.end();
  await shop.drop();
});

interface Counted {
  rows: unknown[];
  affected: number | null;
  counts: Record<string, number>;
  notices: string[];
}

/** Runs the work in Acme's context (20 of the 30 rows are foreign) and reads the counters before rolling back. */
async function counted(
  work: string | ((run: (text: string) => Promise<unknown>) => Promise<void>),
  { tenant = shop.acme, begin = 'begin' }: { tenant?: string | null; begin?: string } = {},
): Promise<Counted> {
  notices.length = 0;
  await session.query(begin);
  try {
    if (tenant !== null) await session.query("select set_config('app.tenant_id', $1, true)", [tenant]);
    let rows: unknown[] = [];
    let affected: number | null = null;
    if (typeof work === 'string') ({ rows, rowCount: affected } = await session.query(work));
    else await work((text) => session.query(text));
    const { rows: settings } = await session.query<Record<string, string | null>>(
      `select ${['r', 'i', 'u', 'w', 'd'].map((op) => `nullif(current_setting('app.miss_${op}', true), '') as ${op}`).join(', ')}`,
    );
    const counts = Object.fromEntries(
      Object.entries(settings[0] ?? {}).flatMap(([op, n]) => (n === null ? [] : [[op, Number(n)]])),
    );
    return { rows, affected, counts, notices: [...notices] };
  } finally {
    await session.query('rollback');
  }
}

const seen = (operation: string, table = 'public.items'): string => `tenantry shadow ${table} ${operation}`;

describe('D4 shadow counts what enforcement would change, statement by statement', () => {
  it('select *: every foreign row, one message', async () => {
    const { rows, counts, notices } = await counted('select * from public.items');
    expect(rows).toHaveLength(30);
    expect(counts).toEqual({ r: 20 });
    expect(notices).toEqual([seen('r')]);
  });

  it('own rows alone: no count and no message', async () => {
    const result = await counted('select * from public.items where id <= 10');
    expect(result).toMatchObject({ counts: {}, notices: [] });
    expect(result.rows).toHaveLength(10);
  });

  it('a foreign row by key: exactly one', async () => {
    expect((await counted('select * from public.items where id = 15')).counts).toEqual({ r: 1 });
  });

  it('a condition that is not leakproof: rows examined, not rows returned', async () => {
    const { rows, counts } = await counted("select * from public.items where t like 't15%'");
    expect(rows).toHaveLength(1);
    expect(counts).toEqual({ r: 20 });
  });

  it('select for update: the row is looked at for reading and for updating', async () => {
    expect((await counted('select * from public.items for update')).counts).toEqual({ r: 20, u: 20 });
  });

  it('update of a foreign row by key', async () => {
    const { affected, counts } = await counted("update public.items set t = 'x' where id = 15");
    expect(affected).toBe(1);
    expect(counts).toMatchObject({ u: 1, w: 1 });
  });

  it('update of everything without reading a column', async () => {
    const { affected, counts } = await counted("update public.items set t = 'x'");
    expect(affected).toBe(30);
    expect(counts).toMatchObject({ u: 20, w: 20 });
  });

  it('update that gives an own row away', async () => {
    const { counts } = await counted(`update public.items set tenant_id = '${shop.bolt}' where id = 1`);
    expect(counts).toMatchObject({ w: 1 });
    expect(counts['u']).toBeUndefined();
  });

  it('update that takes a foreign row', async () => {
    const { counts } = await counted(`update public.items set tenant_id = '${shop.acme}' where id = 15`);
    expect(counts).toMatchObject({ u: 1 });
    expect(counts['w']).toBeUndefined();
  });

  it('delete of a foreign row by key', async () => {
    const { affected, counts } = await counted('delete from public.items where id = 15');
    expect(affected).toBe(1);
    expect(counts).toEqual({ r: 1, d: 1 });
  });

  it('insert of a foreign row, without and with returning', async () => {
    const insert = `insert into public.items values (99, '${shop.bolt}', 'new')`;
    expect((await counted(insert)).counts).toEqual({ i: 1 });
    expect((await counted(`${insert} returning id`)).counts).toEqual({ i: 1, r: 1 });
  });

  it('on conflict do update on a foreign row; on conflict do nothing', async () => {
    const insert = `insert into public.items values (15, '${shop.acme}', 'new') on conflict (id)`;
    const updated = await counted(`${insert} do update set t = excluded.t`);
    expect(updated.counts).toMatchObject({ u: 1, w: 1 });
    expect((await counted(`${insert} do nothing`)).counts).toEqual({});
  });

  it('merge: update, insert and delete', async () => {
    const source = (id: number) => `merge into public.items i using (values (${id})) s(id) on i.id = s.id`;
    expect((await counted(`${source(15)} when matched then update set t = 'm'`)).counts).toMatchObject({ u: 1, w: 1 });
    const inserted = await counted(`${source(99)} when not matched then insert values (s.id, '${shop.bolt}', 'm')`);
    expect(inserted.counts).toMatchObject({ i: 1 });
    expect((await counted(`${source(15)} when matched then delete`)).counts).toMatchObject({ d: 1 });
  });

  it('a cursor: what it has fetched so far', async () => {
    const { counts } = await counted(async (run) => {
      await run('declare c cursor for select * from public.items order by id');
      await run('fetch 12 from c');
    });
    expect(counts).toEqual({ r: 2 });
  });

  it('a prepared statement, eight times: also once it is generic', async () => {
    await session.query('prepare eight (int) as select * from public.items where id = $1');
    const { counts } = await counted(async (run) => {
      for (let i = 0; i < 8; i += 1) await run('execute eight(15)');
    });
    await session.query('deallocate eight');
    expect(counts).toEqual({ r: 8 });
  });

  it('a read-only transaction', async () => {
    const { rows, counts, notices } = await counted('select * from public.items', { begin: 'begin read only' });
    expect(rows).toHaveLength(30);
    expect(counts).toEqual({ r: 20 });
    expect(notices).toEqual([seen('r')]);
  });

  it('a partitioned table, through its root and by a partition', async () => {
    expect(await counted('select * from public.parts')).toMatchObject({
      counts: { r: 20 },
      notices: [seen('r', 'public.parts')],
    });
    await shop.db.query('grant select on public.parts_b to tenantry_app');
    expect(await counted('select * from public.parts_b')).toMatchObject({
      counts: { r: 15 },
      notices: [seen('r', 'public.parts')],
    });
  });

  it('a view with security_invoker, and a view of the former owner', async () => {
    expect((await counted('select * from public.items_seen')).counts).toEqual({ r: 20 });
    expect((await counted('select * from public.items_owned')).counts).toEqual({ r: 20 });
  });

  it('a rolled-back savepoint takes the count back and not the message', async () => {
    const { counts, notices } = await counted(async (run) => {
      await run('savepoint s');
      await run('select * from public.items');
      await run('rollback to savepoint s');
    });
    expect(counts).toEqual({});
    expect(notices).toEqual([seen('r')]);
  });

  it('an error caught inside the database keeps the message as well', async () => {
    const { counts, notices } = await counted(
      'do $$ begin perform * from public.items; perform 1/0; exception when division_by_zero then null; end $$',
    );
    expect(counts).toEqual({});
    expect(notices).toEqual([seen('r')]);
  });

  it('one message per table and operation of a transaction, however many statements', async () => {
    const { counts, notices } = await counted(async (run) => {
      await run('select * from public.items');
      await run('select * from public.items');
      await run("update public.items set t = 'x' where id = 15");
      await run('select * from public.parts');
    });
    expect(counts).toMatchObject({ r: 62, u: 1, w: 1 });
    expect(notices.sort()).toEqual([seen('r'), seen('u'), seen('w'), seen('r', 'public.parts')]);
  });

  it('a client that lowers client_min_messages still gets the message', async () => {
    await session.query('set client_min_messages = error');
    const { notices } = await counted('select * from public.items');
    await session.query('reset client_min_messages');
    expect(notices).toEqual([seen('r')]);
  });

  it('without a context: one message for the statement, and every row', async () => {
    const { rows, counts, notices } = await counted('select * from public.items', { tenant: null });
    expect(rows).toHaveLength(30);
    expect(counts).toEqual({ r: 1 });
    expect(notices).toEqual([seen('r')]);
  });

  it('a row of nobody (a null tenant) is a miss', async () => {
    const { counts } = await counted(async (run) => {
      await run("insert into public.items values (98, null, 'nobody')");
      await run('select * from public.items where id = 98');
    });
    expect(counts).toEqual({ i: 1, r: 1 });
  });

  it('app.shadow_enforce answers as enforcement would, and counts nothing', async () => {
    const { rows, counts, notices } = await counted(async (run) => {
      await run("set local app.shadow_enforce = 'on'");
      const { rows } = (await run('select count(*)::int as n from public.items')) as { rows: unknown[] };
      expect(rows).toEqual([{ n: 10 }]);
      await expect(run(`insert into public.items values (97, '${shop.bolt}', 'x')`)).rejects.toMatchObject({
        code: '42501',
      });
      await run('rollback');
      await run('begin');
    });
    expect({ rows, counts, notices }).toEqual({ rows: [], counts: {}, notices: [] });
    await session.query('begin');
    await session.query("set local app.shadow_enforce = 'on'");
    expect((await session.query('select count(*)::int as n from public.items')).rows).toEqual([{ n: 0 }]);
    await session.query('rollback');
  });

  it('a lateral re-evaluation counts rows as often as they are examined', async () => {
    const { counts } = await counted(
      'select * from generate_series(14, 18) g, lateral (select * from public.items where id = g offset 0) i',
    );
    expect(counts['r']).toBeGreaterThanOrEqual(5);
  });

  it('COPY … FROM is the one statement that shadow cannot let through', async () => {
    await expect(session.query('copy public.items from stdin')).rejects.toMatchObject({ code: '0A000' });
  });
});
