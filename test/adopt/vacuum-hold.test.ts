import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, type RunOptions } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let db: TestDatabase;
let pool: pg.Pool;
let other: pg.Client;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  pool.on('error', () => {});
  other = new pg.Client({ connectionString: db.adminUrl });
  await other.connect();
  // autovacuum that happens to be at a table would be the one that has it
  await db.query(`
    create table shops (id int primary key);
    create table orders (id int primary key, shop_id int not null references shops (id)) with (autovacuum_enabled = off);
    create table "Old Notes" (id int primary key, shop_id int not null references shops (id)) with (autovacuum_enabled = off);
    insert into shops values (1), (2);
    insert into orders select n, 1 + n % 2 from generate_series(1, 60000) n;
    insert into "Old Notes" select n, 1 + n % 2 from generate_series(1, 60000) n`);
});
afterAll(async () => {
  await other.end();
  await pool.end();
  await db.drop();
});

interface Holder {
  readonly pid: number;
  readonly held: string;
  readonly state: string;
  readonly snapshot: string | null;
  readonly written: string | null;
  readonly seconds: number;
}

/** Who has a table locked as VACUUM would, VACUUM itself aside. */
const holders = (): Promise<Holder[]> =>
  db.query<Holder & Record<string, unknown>>(
    `select a.pid, l.relation::regclass::text as held, a.state, a.backend_xmin::text as snapshot, a.backend_xid::text as written,
            extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds
     from pg_locks l join pg_stat_activity a using (pid)
     where l.mode = 'ShareUpdateExclusiveLock' and l.locktype = 'relation' and l.granted and a.datname = current_database()
       and a.backend_type = 'client backend' and a.query !~* '^(vacuum|analyze)' order by 2`,
  );

async function until(holds: (found: Holder[]) => boolean): Promise<Holder[]> {
  for (const end = Date.now() + 30_000; ; await sleep(100)) {
    const found = await holders();
    if (holds(found)) return found;
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(found)}`);
  }
}

/** How often each table was vacuumed by somebody, autovacuum aside. */
async function vacuums(): Promise<Record<string, number>> {
  const rows = await db.query<{ relname: string; count: number }>(
    `select relname, vacuum_count::int as count from pg_stat_user_tables where schemaname = 'public' order by 1`,
  );
  return Object.fromEntries(rows.map(({ relname, count }) => [relname, count]));
}

/** Queries of an application, until it is stopped. */
function startLoad(): () => Promise<void> {
  let going = true;
  const load = (async () => {
    for (; going; await sleep(2)) await other.query('select from shops');
  })();
  return () => {
    going = false;
    return load;
  };
}

const both = ['"Old Notes"', 'orders'];
const bothHeld = (found: Holder[]): boolean => found.length === 2;
const noneHeld = (found: Holder[]): boolean => found.length === 0;

/** Fills both tables slowly until `work` is over. `done` has the steps that are over by then. */
async function whileFilling(
  work: (done: readonly string[], pace: { rest: number }) => Promise<void>,
  options: RunOptions = {},
  { adminPool = pool, before = async () => {} }: { adminPool?: pg.Pool; before?: () => Promise<unknown> } = {},
): Promise<void> {
  const adopt = createAdopt({ adminPool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  await adopt.run(plan, { to: 'expand' });
  await before();
  const done: string[] = [];
  const pace = { rest: 120 };
  const run = adopt.run(null, {
    to: 'backfill',

    throttle: () => pace.rest,
    ...options,
    async onEvent(event) {
      if (event.type === 'step') done.push(event.id);
      await options.onEvent?.(event);
    },
  });
  try {
    const early = run.then(() => Promise.reject(new Error('filled before it was looked at')));
    await Promise.race([work(done, pace), early]);
    if (pace.rest > 100) expect(done).not.toContain('backfill/public.orders/rows');
  } finally {
    pace.rest = 0;
    await Promise.allSettled([run]);
  }
  await run;
  expect(await holders()).toEqual([]);
  const later = createAdopt({ adminPool: pool });
  expect((await later.run(null, { to: 'shadow' })).phase).toBe('shadow');
  expect(
    await db.query(
      'select (select count(tenant_id) from orders)::int as o, (select count(tenant_id) from "Old Notes")::int as n',
    ),
  ).toEqual([{ o: 60000, n: 60000 }]);
  expect((await later.undo()).differences).toEqual([]);
}

describe('autovacuum beside a backfill', () => {
  test('keeps off the tables that are filled while nobody else is at work, and nobody feels it', async () => {
    const before = await vacuums();
    const after: Holder[] = [];
    const held: string[] = [];
    await whileFilling(
      async () => {
        const [one, two] = await until((found) => bothHeld(found) && found.every(({ seconds }) => seconds > 1));
        // one session, which has written nothing and needs no old row
        expect(one).toMatchObject({ held: both[0], state: 'idle in transaction', snapshot: null, written: null });
        expect(two).toMatchObject({ held: both[1], pid: one!.pid });
        const notices: (string | undefined)[] = [];
        other.on('notice', ({ message }) => notices.push(message));
        await other.query('vacuum (skip_locked) orders');
        other.removeAllListeners('notice');
        expect(notices).toEqual(['skipping vacuum of "orders" --- lock not available']);
        await other.query('begin; lock table orders, "Old Notes" in row exclusive mode nowait');
        await other.query(
          'insert into orders values (0, 1); delete from orders where id = 0; select from orders where id = 1',
        );
        await other.query('commit');
        expect(await holders()).toHaveLength(2);
      },
      {
        async onEvent(event) {
          if (event.type !== 'step' || !event.id.endsWith('/rows')) return;
          const now = await holders();
          held.push(event.id);
          after.push(...now.filter(({ held: table }) => event.id.includes(table.replaceAll('"', ''))));
        },
      },
    );
    // the next step of a table begins without it
    expect([after, held.length]).toEqual([[], 2]);
    // what it would have to tidy up is tidied up, but for a table of a page
    expect(await vacuums()).toEqual({
      shops: before['shops'],
      orders: before['orders']! + 1,
      'Old Notes': before['Old Notes']! + 1,
    });
  });

  test('who waits for a table gets it, and is not followed at once', async () => {
    await whileFilling(async (done) => {
      await until(bothHeld);
      await other.query('vacuum orders');
      expect(done).not.toContain('backfill/public.orders/rows');
      for (let i = 0; i < 5; i += 1) {
        expect(await holders()).toEqual([]);
        await sleep(200);
      }
    });
  });

  test.each([1, 0])('comes as ever when others are at work, also to a run that gives way by %i', async (nice) => {
    const before = await vacuums();
    let stop = (): Promise<void> => Promise.resolve();
    try {
      await whileFilling(
        async () => {
          await until(bothHeld);
          stop = startLoad();
          await until(noneHeld);
        },
        {
          nice,
          async onEvent(event) {
            if (event.type === 'step' && event.id === 'backfill/public.orders/rows')
              expect(await vacuums()).toEqual(before);
          },
        },
      );
    } finally {
      await stop();
    }
  });

  test('comes as ever while the run rests', async () => {
    await whileFilling(async (_done, pace) => {
      await until(bothHeld);
      pace.rest = 9000;
      await until(noneHeld);
    });
  });

  test('a session that an administrator ends is no loss', async () => {
    await whileFilling(async () => {
      const [holder] = await until(bothHeld);
      await other.query('select pg_terminate_backend($1)', [holder!.pid]);
      await until(noneHeld);
      await sleep(600);
    });
  });

  test('a table that somebody else has locked is filled without', async () => {
    const { rows } = await other.query<{ pid: number }>('select pg_backend_pid() as pid');
    await whileFilling(
      async () => {
        const [mine, theirs] = await until(bothHeld);
        expect(theirs).toMatchObject({ held: 'orders', pid: rows[0]!.pid });
        expect(mine!.pid).not.toBe(theirs!.pid);
      },
      {
        async onEvent(event) {
          // the trigger's turn, which needs a lock of its own
          if (event.type === 'step' && event.id === 'backfill/public.orders/rows') await other.query('rollback');
        },
      },
      { before: () => other.query('begin; lock table orders in share update exclusive mode') },
    );
  });

  test('takes no connection that a table could need', async () => {
    for (const [max, expected] of [
      [4, 0],
      [5, 2],
    ] as const) {
      const small = new pg.Pool({ connectionString: db.adminUrl, max, connectionTimeoutMillis: 10_000 });
      small.on('error', () => {});
      let most = 0;
      await whileFilling(
        async () => {
          for (let i = 0; i < 60 && most < 2; i += 1) {
            most = Math.max(most, (await holders()).length);
            await sleep(100);
          }
        },
        {},
        { adminPool: small },
      );
      await small.end();
      expect([max, most]).toEqual([max, expected]);
    }
  });
});

test('a table that is tidied up is given to who waits for it, and left when others are at work', async () => {
  // a page in a tenth of a second: it would take a minute
  await db.query(
    `alter database ${db.name} set vacuum_cost_delay = 100; alter database ${db.name} set vacuum_cost_limit = 1`,
  );
  const slow = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  slow.on('error', () => {});
  const tidied = async (): Promise<string[]> =>
    (
      await db.query<{ name: string }>(
        `select v.relid::regclass::text as name from pg_stat_progress_vacuum v join pg_stat_activity a using (pid)
         where a.datname = current_database() and a.backend_type = 'client backend' order by 1`,
      )
    ).map(({ name }) => name);
  const awaitTidied = (expected: string[]) =>
    vi.waitFor(async () => expect(await tidied()).toEqual(expected), { timeout: 30_000, interval: 250 });
  const before = await vacuums();
  try {
    await whileFilling(
      async (_done, pace) => {
        await until(bothHeld);
        // not so fast that the run takes its own batches for an application's
        pace.rest = 30;
        await awaitTidied(both);
        await other.query('begin; lock table orders in share update exclusive mode; commit');
        await awaitTidied(['"Old Notes"']);
        const stop = startLoad();
        try {
          await awaitTidied([]);
        } finally {
          await stop();
        }
        expect(await vacuums()).toEqual(before);
        await db.query(`alter database ${db.name} reset all`);
      },
      {},
      { adminPool: slow },
    );
  } finally {
    await db.query(`alter database ${db.name} reset all`);
    await slow.end();
  }
});
