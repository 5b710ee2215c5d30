import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBlocker, firstWords } from '../../src/database/blockers.ts';
import { groupStatements, type LockAttempt, runStatements, withLockRetry } from '../../src/database/locks.ts';
import { TenantryError } from '../../src/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
let holder: Client;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.query('create table public.held (id int primary key, n int)');
  await db.query('create table public.other (id int primary key, n int)');
  await db.query('insert into public.held values (1, 0); insert into public.other values (1, 0)');
  holder = new Client({ connectionString: db.adminUrl });
  await holder.connect();
});
afterAll(async () => {
  await holder.end();
  await db.drop();
});

describe('locks: every lock under a timeout, retried, or refused with who was in the way', () => {
  it('waits for a lock that is let go and then does the work once', async () => {
    await holder.query('begin; lock table public.held in access share mode');
    const outcomes: LockAttempt['outcome'][] = [];
    const freed = sleep(350).then(() => holder.query('commit'));
    await runStatements(db.admin, [{ text: 'alter table public.held add column c1 int', purpose: 'a column' }], {
      lockTimeout: 100,
      onAttempt: ({ outcome }) => outcomes.push(outcome),
    });
    await freed;
    expect(outcomes.at(-1)).toBe('done');
    expect(outcomes.filter((outcome) => outcome === 'lock timeout').length).toBeGreaterThan(0);
    expect(await db.query('select c1 from public.held')).toEqual([{ c1: null }]);
  });

  it('gives up with TNT_LOCK_TIMEOUT, names the session in the way without a constant of its statement, changes nothing', async () => {
    await holder.query('begin');
    await holder.query("update public.held set n = 4711 where id = 1 and 'secret' <> ''");
    const [{ pid } = { pid: 0 }] = (await holder.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
    await holder.query("update public.held set n = 4712 where 'secret' <> ''");
    const error = await runStatements(
      db.admin,
      [
        { text: 'create table public.half ()', purpose: 'must not stay' },
        { text: 'alter table public.held add column c2 int', purpose: 'waits' },
      ],
      { lockTimeout: 200, attempts: 8, maxPause: 10 },
    ).catch((error: unknown) => error);
    await holder.query('rollback');
    expect(error).toBeInstanceOf(TenantryError);
    const { code, message, details } = error as TenantryError;
    expect(code).toBe('TNT_LOCK_TIMEOUT');
    expect(message).toContain(`process ${pid}`);
    expect(message).toContain('update public.held set …');
    expect(JSON.stringify({ message, details })).not.toMatch(/secret|471/);
    expect(await db.query("select to_regclass('public.half') as half")).toEqual([{ half: null }]);
  });

  it('repeats after a deadlock', async () => {
    const outcomes: LockAttempt['outcome'][] = [];
    let other: Promise<unknown> | undefined;
    await withLockRetry(
      db.admin,
      async (tx) => {
        await tx.query('update public.held set n = n + 1');
        if (other === undefined) {
          await holder.query('begin');
          await holder.query('update public.other set n = n + 1');
          other = holder.query('update public.held set n = n + 10').then(() => holder.query('commit'));
          await sleep(1200); // past its own deadlock check: the one that closes the circle is chosen
        }
        await tx.query('update public.other set n = n + 1');
      },
      { lockTimeout: 10_000, onAttempt: ({ outcome }) => outcomes.push(outcome) },
    );
    await other;
    expect(outcomes).toEqual(['deadlock', 'done']);
    expect(await db.query('select h.n as held, o.n as other from public.held h, public.other o')).toEqual([
      { held: 11, other: 2 },
    ]);
  });

  it('gives any other error on at once and leaves no setting or transaction on the pooled connection', async () => {
    const pool = new Pool({ connectionString: db.adminUrl, max: 1 });
    const failing = runStatements(pool, [{ text: 'select 1/0', purpose: 'fails' }]);
    await expect(failing).rejects.toMatchObject({ code: '22012' });
    await runStatements(pool, [
      { text: 'create index concurrently held_n on public.held (n)', purpose: 'index', outsideTransaction: true },
    ]);
    const { rows } = await pool.query(
      "select current_setting('lock_timeout') as t, now() = statement_timestamp() as own",
    );
    expect(rows).toEqual([{ t: '0', own: true }]);
    await pool.end();
  });

  it('names the login of a session whose statement it may not see', async () => {
    const stranger = new Client({ connectionString: db.appUrl });
    await stranger.connect();
    await db.query('grant select on public.held to tenantry_app');
    await stranger.query("begin; select 'secret' from public.held");
    const statement = { text: 'alter table public.held add column c8 int', purpose: '' };
    await expect(
      runStatements(db.admin, [statement], { lockTimeout: 200, attempts: 8, maxPause: 10 }),
    ).rejects.toMatchObject({
      details: { blockers: [{ login: 'Tenantry_Test_App', statement: null }] },
    });
    await stranger.end();
  });

  it('says so when nobody could be asked who was in the way', async () => {
    await holder.query('begin; lock table public.held in access share mode');
    const pool = new Pool({ connectionString: db.adminUrl, max: 1 });
    const text = 'alter table public.held add column c9 int';
    await expect(runStatements(pool, [{ text, purpose: '' }], { lockTimeout: 60, attempts: 1 })).rejects.toThrow(
      'the sessions in the way were gone when asked for',
    );
    await holder.query('commit');
    await pool.end();
    const gone = {
      pid: 7,
      login: null,
      application: null,
      state: null,
      transactionSeconds: null,
      since: null,
      statement: null,
    };
    expect(describeBlocker(gone)).toBe('process 7 (background, state not visible)');
  });

  it('stops between attempts when its signal is aborted', async () => {
    await holder.query('begin; lock table public.held in access share mode');
    const stop = new AbortController();
    const running = runStatements(db.admin, [{ text: 'alter table public.held add column c3 int', purpose: 'waits' }], {
      lockTimeout: 50,
      signal: stop.signal,
      onAttempt: () => stop.abort(),
    });
    await expect(running).rejects.toMatchObject({ code: 'TNT_INTERRUPTED' });
    await holder.query('commit');
  });

  it('puts neighbours in one transaction and a concurrent statement alone', () => {
    const s = (text: string, outsideTransaction = false) => ({ text, purpose: text, outsideTransaction });
    const groups = groupStatements([s('a'), s('b'), s('c', true), s('d', true), s('e')]);
    expect(groups.map((group) => group.map(({ text }) => text))).toEqual([['a', 'b'], ['c'], ['d'], ['e']]);
  });

  it('shows the first words of a statement and no value', () => {
    expect(firstWords("/* who */ select * from t where name = 'x'")).toBe('select …');
    expect(firstWords('insert into public.orders (id) values (7)')).toBe('insert into public.orders …');
    expect(firstWords('delete from orders where id = 7')).toBe('delete from orders where …');
    expect(firstWords("'x'")).toBe('…');
  });
});
