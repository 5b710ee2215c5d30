import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AdoptStatus, createAdopt, type Plan } from '../../../src/adopt/index.ts';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { analyzeHost } from '../support/analyze.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

describe('the state of an adoption', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  let plan: Plan;
  let folder: string;
  const environment = (): Record<string, string> => ({ DATABASE_URL: db.adminUrl });
  const status = () => tenantry(['adopt', 'status'], environment());

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tenantry-status-'));
    db = await createTestDatabase();
    pool = new pg.Pool({ connectionString: db.adminUrl, max: 8 });
    pool.on('error', () => {});
    await db.query(`
      create table public.shops (id bigint primary key, name text not null);
      create table public.orders (id bigint primary key, shop_id bigint not null references public.shops (id), note text);
      insert into public.shops select n, 'Shop ' || n from generate_series(1, 3) n;
      insert into public.orders select n, 1 + n % 3, repeat('x', 200) from generate_series(1, 6000) n;
      create table public.empty (id bigint primary key, shop_id bigint not null references public.shops (id));`);
    await analyzeHost(db);
    plan = (await createAdopt({ adminPool: pool }).plan({ root: 'public.shops' })).plan;
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
    await rm(folder, { recursive: true, force: true });
  });

  test('B7: before one it names the first step', async () => {
    expect(await status()).toMatchObject({ code: 0, out: 'No adoption yet. Begin with: tenantry adopt inspect\n' });
  });

  test('B7: while it runs: phases, rows, how far, and in the terminal as well as by --json', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const seen: AdoptStatus[] = [];
    let text = '';
    let json: AdoptStatus | undefined;
    await adopt.run(plan, {
      to: 'backfill',
      batchMilliseconds: 20,
      async onEvent(event) {
        if (event.type !== 'progress' || event.table !== 'public.orders') return;
        const now = await adopt.status();
        if (now !== null) seen.push(now);
        if (text !== '') return;
        text = (await status()).out;
        json = JSON.parse((await tenantry(['adopt', 'status', '--json'], environment())).out) as AdoptStatus;
      },
    });
    const fractions = seen.map((one) => one.phases.find(({ phase }) => phase === 'backfill')!.fraction);
    expect(seen.length).toBeGreaterThan(0);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(fractions[0]).toBeGreaterThan(0);
    const [first] = seen;
    expect(first).toMatchObject({ running: true, pausedAt: null, phase: 'expand', drift: [] });
    expect(first!.current).toMatchObject([
      { step: 'backfill/public.orders/rows', table: 'public.orders', phase: 'backfill' },
    ]);
    expect(first!.current[0]!.rows).toBeGreaterThan(0);
    expect(first!.current[0]!.rowsTotal).toBeGreaterThanOrEqual(first!.current[0]!.rows);

    expect(text).toMatch(/^expand, a process is working on it, begun \d+ s ago \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\)\n/);
    expect(text).toMatch(/\nbackfill +\d of \d+ +[\d,]+ of about [\d,]+ +[█░]{16} +\d+ %/);
    expect(text).toMatch(/\nnow +backfill\/public\.orders\/rows, [\d,]+ of about [\d,]+ rows \(\d+ %\)/);
    expect(text).toMatch(/\nnext +wait for it, or: tenantry adopt pause\n/);
    expect(json!.phases.map(({ phase }) => phase)).toEqual([
      'expand',
      'backfill',
      'verify',
      'tighten',
      'shadow',
      'enforced',
      'contract',
    ]);
    expect(json!.current[0]!.step).toBe('backfill/public.orders/rows');
  });

  test('B7: says what waits for whom: the run for a session of the application, and one of those for another', async () => {
    const [blocker, waiter] = [
      new pg.Client({ connectionString: db.adminUrl }),
      new pg.Client({ connectionString: db.adminUrl }),
    ];
    await blocker.connect();
    await waiter.connect();
    await blocker.query(`begin; update public.orders set note = 'held' where id = 1`);
    const pidOf = async (client: pg.Client) =>
      (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
    const [blocking, waiting] = [await pidOf(blocker), await pidOf(waiter)];
    const update = waiter.query(`update public.orders set note = 'secret value' where id = 1`);
    try {
      const adopt = createAdopt({ adminPool: pool });
      await vi.waitFor(async () => expect((await adopt.status())!.waits).toHaveLength(1));
      const [wait] = (await adopt.status())!.waits;
      expect(wait).toMatchObject({ table: 'public.orders' });
      expect(wait!.who).toContain(`process ${waiting} `);
      expect(wait!.who).toContain('update public.orders set …');
      expect(wait!.who).not.toContain('secret');
      expect(wait!.blockers).toEqual([expect.stringContaining(`process ${blocking} (`)]);
      const { out } = await status();
      expect(out).toMatch(
        new RegExp(`\\nwaits  process ${waiting} .* waits on public\\.orders for process ${blocking} \\(`),
      );
      // the run itself, which needs the whole table for a moment
      const stop = new AbortController();
      const going = adopt.run(null, { to: 'tighten', signal: stop.signal }).catch((error: Error) => error);
      await vi.waitFor(async () => {
        const ours = (await adopt.status())!.waiting;
        // an index made concurrently waits for every session that holds a lock
        const held = new RegExp(`process (${blocking}|${waiting}) \\(`);
        expect(
          ours.filter(({ step, blockers }) => step.startsWith('tighten/') && blockers.some((one) => held.test(one))),
        ).toHaveLength(1);
      }, 20_000);
      stop.abort();
      await blocker.query('rollback');
      await going;
    } finally {
      await blocker.query('rollback');
      await update;
      await blocker.end();
      await waiter.end();
    }
  });

  test('B7: paused, stopped, complete with drift, undone: each says the next step', async () => {
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run(null, { to: 'tighten', resume: true });
    expect((await status()).out).toMatch(/^tighten, no process is working on it, .*\n[^]*\nnext +tenantry adopt run\n/);
    await adopt.pause();
    expect((await status()).out).toMatch(/^tighten, paused since .*\n[^]*\nnext +tenantry adopt resume\n/);
    await adopt.resume();
    await adopt.run(null);
    await db.query('create table public.later (id int)');
    const { out } = await status();
    expect(out).toMatch(/^enforced, complete, begun/);
    expect(out).toMatch(/\ndrift +Since the adoption: 1 unclassified table \(public\.later\)/);
    expect(out).toMatch(/\nnext +tenantry adopt verify, and in CI: tenantry adopt plan --check\n/);
    expect(out.split('\n').find((line) => line.startsWith('backfill'))).toMatch(
      /^backfill +\d+ of \d+ +6,000 +█{16} +done$/,
    );
    await adopt.undo();
    expect((await status()).out).toMatch(/^undone, begun .*[^]*\nnext +tenantry adopt plan\n/);
  });
});
