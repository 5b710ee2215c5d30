import { PassThrough } from 'node:stream';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import { createOperatorPool, createPool, type OperatorPool, TenantClient } from '../../src/pool/index.ts';
import { asA, asB, count, leftOver, poolFixture } from './fixture.ts';

const at = poolFixture();
const soon = (ms = 30): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('the pool is a pg.Pool in every call shape', () => {
  it('text and callback, text and values and callback, config and callback', async () => {
    const call = (...args: unknown[]): Promise<unknown> =>
      asA(
        () =>
          new Promise((resolve, reject) => {
            (at.pool.query as unknown as (...all: unknown[]) => void)(
              ...args,
              (error: Error | null, result: pg.QueryResult) => (error ? reject(error) : resolve(result.rows)),
            );
          }),
      );
    expect(await call('select 1 as n')).toEqual([{ n: 1 }]);
    expect(await call('select $1::int as n', [2])).toEqual([{ n: 2 }]);
    expect(await call({ text: 'select $1::int as n', values: [3] })).toEqual([{ n: 3 }]);
    expect(await call({ text: 'select $1::int as n' }, [4])).toEqual([{ n: 4 }]);
    await expect(call('select 1/0')).rejects.toMatchObject({ code: '22012' });
    expect(await call({ text: 'select 5 as n', rows: 1 })).toEqual([{ n: 5 }]);
    await expect(call({ text: 'select 1/0', rows: 1 })).rejects.toMatchObject({ code: '22012' });
  });

  it('connect with a callback, end with a callback, and end twice', async () => {
    const pool = createPool({ connectionString: at.database.appUrl, max: 1 });
    const rows = await asA(
      () =>
        new Promise((resolve, reject) => {
          pool.connect((error, client, release) => {
            // the callback runs in the context of its caller
            client?.query('select count(*)::int n from notes', (failure: Error, { rows: found }: pg.QueryResult) => {
              release(failure ?? error);
              resolve(found);
            });
            if (client === undefined) reject(error);
          });
        }),
    );
    expect(rows).toEqual([{ n: 10 }]);
    await new Promise<void>((resolve) => pool.end(resolve));
    const again = await new Promise((resolve) => pool.end(resolve as () => void));
    expect(again).toMatchObject({ message: expect.stringContaining('more than once') });
  });

  it('a client of its own, without a pool', async () => {
    const client = new TenantClient({ connectionString: at.database.appUrl });
    await new Promise<void>((resolve, reject) =>
      client.connect((error: Error | null) => (error ? reject(error) : resolve())),
    );
    expect(await asA(() => count(client))).toBe(10);
    expect(await asA(() => client.query({ text: 'select 1 as n', rows: 1 } as never))).toMatchObject({
      rows: [{ n: 1 }],
    });
    expect(() => client.query(null as never)).toThrow('null or undefined');
    expect(() => client.query('select 1', [], 'x' as never)).toThrow('callback is not a function');
    await client.end();
    await expect(asA(() => client.query('select 1'))).rejects.toThrow(/closed|connection error/);
    const bare = new TenantClient(at.database.appUrl);
    await bare.connect();
    expect(await asB(() => count(bare))).toBe(5);
    await bare.end();
  });

  it('maxUses, maxLifetimeSeconds, idleTimeoutMillis and allowExitOnIdle hold', async () => {
    const pid = (pool: ReturnType<typeof at.open>) =>
      asA(() => pool.query('select pg_backend_pid() as pid')).then(({ rows }) => rows[0].pid);
    const uses = at.open({ max: 1, maxUses: 2 });
    const seen = [await pid(uses), await pid(uses), await pid(uses)];
    expect(seen[0]).toBe(seen[1]);
    expect(seen[2]).not.toBe(seen[0]);
    const lifetime = at.open({ max: 1, maxLifetimeSeconds: 1 });
    const young = await pid(lifetime);
    const slow = asA(() => lifetime.query('select pg_sleep(1.2)'));
    await slow;
    expect(await pid(lifetime)).not.toBe(young);
    const idle = at.open({ max: 1, idleTimeoutMillis: 40, allowExitOnIdle: true });
    const first = await pid(idle);
    expect(await pid(idle)).toBe(first);
    await asA(() => idle.query('select pg_sleep(0.1)')); // the idle timer runs out while it works, and must not end it
    expect(await pid(idle)).toBe(first);
    await expect.poll(() => idle.totalCount).toBe(0);
  });

  it('tells its events', async () => {
    const pool = at.open({ max: 1 });
    const events: string[] = [];
    for (const event of ['connect', 'acquire', 'release'] as const)
      pool.on(event as 'connect', () => events.push(event));
    await asA(() => count(pool));
    await asA(() => count(pool));
    expect(events).toEqual(['connect', 'acquire', 'release', 'acquire', 'release']);
  });
});

describe('what goes wrong', () => {
  it('COPY: a commit that fails, a connection that is lost, a client released in the middle', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    client.on('error', () => undefined);
    await asA(async () => {
      await client.query('create temporary table once (id int unique deferrable initially deferred)');
      const stream = client.query(copyFrom('copy once from stdin'));
      const failed = new Promise((resolve) => stream.on('error', resolve));
      stream.end('1\n1\n');
      expect(await failed).toMatchObject({ code: '23505' });
      expect(await count(client)).toBe(10);
      const lost = client.query(copyFrom('copy once from stdin'));
      const told = new Promise((resolve) => lost.on('error', resolve));
      client.connection.stream.destroy();
      expect(await told).toBeInstanceOf(Error);
    });
    client.release(true);
    const other = await pool.connect();
    await asA(async () => {
      await other.query('create temporary table once (id int)');
      const open = other.query(copyFrom('copy once from stdin'));
      open.on('error', () => undefined);
      open.write('1\n');
      await soon();
    });
    other.release();
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('COPY FROM STDIN among several statements ends with an error, not with a hang', async () => {
    await expect(
      asA(() => at.pool.query('create temporary table c (id int); copy c from stdin')),
    ).rejects.toMatchObject({ code: '57014' });
    expect(await asA(() => count(at.pool))).toBe(10);
  });

  it('a COPY without a tenant needs no bracket', async () => {
    const client = await at.pool.connect();
    const source = new PassThrough();
    await withSystem('load', async () => {
      await client.query('create temporary table plain (id int)');
      const stream = client.query(copyFrom('copy plain from stdin'));
      const finished = new Promise((resolve, reject) => stream.on('finish', resolve).on('error', reject));
      source.pipe(stream);
      source.end('1\n');
      await finished;
      expect((await client.query('select count(*)::int n from plain')).rows).toEqual([{ n: 1 }]);
    });
    client.release();
  });

  it('a query object whose context statement is gone fails, and the next one does not', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    const read = (): Promise<unknown> =>
      asA(() => client.query({ text: 'select count(*)::int n from notes', rows: 10 } as never));
    await read();
    await asA(() => client.query("do $$ begin execute 'deallocate all'; end $$"));
    await expect(read()).rejects.toMatchObject({ code: '26000', phase: 'context' });
    expect(await read()).toMatchObject({ rows: [{ n: 10 }] });
    client.release();
  });

  it('neither text nor name is an error', async () => {
    await expect(asA(() => at.pool.query({} as never))).rejects.toThrow();
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('an abort reaches a query that waits on its client, and one whose reason is no error', async () => {
    const client = await at.pool.connect();
    const controller = new AbortController();
    const [busy, queued] = [
      asA(() => client.query('select pg_sleep(0.1)')),
      asA(() => client.query({ text: 'select 1', signal: controller.signal } as never)),
    ];
    controller.abort('enough');
    await expect(queued).rejects.toMatchObject({ message: 'The query was aborted', cause: 'enough' });
    await busy;
    expect(await asA(() => count(client))).toBe(10);
    client.release();
  });

  it('an abort before a connection was found gives the connection back', async () => {
    const pool = at.open({ max: 1 });
    const controller = new AbortController();
    const first = asA(() => pool.query({ text: 'select 1', signal: controller.signal } as never));
    controller.abort();
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    expect(await asB(() => count(pool))).toBe(5);
    expect(pool.totalCount).toBe(1);
  });

  it('the operator behind a transaction pooler prepares nothing', async () => {
    const operator = createOperatorPool(at.database.operatorUrl, { max: 1, pooler: 'transaction' }) as OperatorPool;
    expect(await count(operator)).toBe(15);
    expect((await operator.query('select count(*)::int n from pg_prepared_statements')).rows).toEqual([{ n: 0 }]);
    await operator.end();
  });

  it('a cursor is not accepted half-way through another tenant', async () => {
    const client = await at.pool.connect();
    await asA(async () => {
      await client.query('begin');
      await count(client);
    });
    const cursor = await asB(async () => client.query(new Cursor('select 1')));
    await expect(cursor.read(1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_CHANGED' });
    await client.query('rollback');
    client.release();
    expect((await withSystem('look', () => at.pool.query(leftOver))).rows).toEqual([{ tenant: '' }]);
  });
});
