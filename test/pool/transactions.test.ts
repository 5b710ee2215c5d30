import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import type { TenantPool } from '../../src/pool/index.ts';
import { asA, asB, count, leftOver, poolFixture, tenantA } from './fixture.ts';

const at = poolFixture();
const settingNow = "select current_setting('app.tenant_id', true) as tenant";

/** Runs `fn` on one client and gives it back. */
async function onClient<T>(pool: TenantPool, fn: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await fn(client);
  } finally {
    client.release();
  }
}

describe('D5 transactions', () => {
  it('tells the server after BEGIN, with the first statement, and forgets at the end', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        await client.query('begin');
        expect(await count(client)).toBe(10);
        await client.query("insert into notes (body) values ('tx')");
        expect(await count(client)).toBe(11);
        await client.query('rollback');
        expect(await count(client)).toBe(10);
      }),
    );
  });

  it('leaves SET TRANSACTION legal after BEGIN, also in every other form of it', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        for (const begin of [
          'begin',
          'start transaction',
          '/* orm */ BEGIN;',
          'begin isolation level repeatable read',
        ]) {
          await client.query(begin);
          await client.query('set transaction isolation level serializable');
          expect((await client.query('show transaction_isolation')).rows).toEqual([
            { transaction_isolation: 'serializable' },
          ]);
          expect(await count(client)).toBe(10);
          await client.query('commit');
        }
      }),
    );
  });

  it('sends the context again after ROLLBACK TO and after AND CHAIN', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        await client.query('begin');
        await client.query('savepoint s');
        expect(await count(client)).toBe(10);
        await client.query('rollback to savepoint s');
        expect(await count(client)).toBe(10);
        await client.query('release savepoint s');
        expect(await count(client)).toBe(10);
        await client.query('commit and chain');
        expect(await count(client)).toBe(10);
        await client.query('rollback and chain');
        expect(await count(client)).toBe(10);
        await client.query('commit');
      }),
    );
  });

  it('sends no context into a failed transaction: its ROLLBACK works', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        await client.query('begin');
        await client.query('savepoint s');
        await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
        await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' });
        await client.query('rollback to s');
        expect(await count(client)).toBe(10);
        await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
        await client.query('rollback');
        expect(await count(client)).toBe(10);
      }),
    );
  });

  it('refuses another tenant inside an open transaction, and sends nothing', async () => {
    const client = await at.pool.connect();
    await asA(async () => {
      await client.query('begin');
      expect(await count(client)).toBe(10);
    });
    await expect(asB(() => client.query('select body from notes'))).rejects.toMatchObject({
      code: 'TNT_CONTEXT_CHANGED',
    });
    await expect(asB(() => client.query('select 1; select 2'))).rejects.toMatchObject({ code: 'TNT_CONTEXT_CHANGED' });
    await expect(withSystem('probe', () => client.query('select 1'))).rejects.toMatchObject({
      code: 'TNT_CONTEXT_CHANGED',
    });
    await expect(client.query('select 1')).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    expect(await asA(() => count(client))).toBe(10);
    await client.query('rollback'); // ending it is always allowed
    expect(await asB(() => count(client))).toBe(5);
    client.release();
  });

  it('allows another tenant in a nested context on another connection', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        await client.query('begin');
        expect(await count(client)).toBe(10);
        expect(await asB(() => count(at.pool))).toBe(5);
        expect(await count(client)).toBe(10);
        await client.query('commit');
      }),
    );
  });

  it('keeps the context through a text that begins a transaction, and binds the transaction to it', async () => {
    const client = await at.pool.connect();
    await asA(() => client.query('begin isolation level repeatable read; select 1'));
    expect(await asA(() => count(client))).toBe(10);
    await expect(asB(() => count(client))).rejects.toMatchObject({ code: 'TNT_CONTEXT_CHANGED' });
    await asA(() => client.query('commit; begin; commit; select 1'));
    client.release();
  });

  it('gives a text no context after its own COMMIT: it fails closed', async () => {
    const results = (await asA(() => at.pool.query(`begin; ${settingNow}; commit; ${settingNow}`))) as unknown as {
      rows: unknown[];
    }[];
    expect(results.map((result) => result.rows)).toEqual([[], [{ tenant: tenantA }], [], [{ tenant: '' }]]);
  });

  it('takes queries that are queued without await', async () => {
    await asA(() =>
      onClient(at.pool, async (client) => {
        const answers = await Promise.all([
          client.query('begin'),
          count(client),
          client.query('savepoint a'),
          count(client),
          client.query('rollback to a'),
          count(client),
          client.query('commit'),
          count(client),
        ]);
        expect(answers.filter((answer) => typeof answer === 'number')).toEqual([10, 10, 10, 10]);
      }),
    );
  });

  it('rolls back what is open when a client is released, and the next tenant finds it clean', async () => {
    const pool = at.open({ max: 1 });
    for (const fail of [false, true]) {
      const client = await pool.connect();
      await asA(async () => {
        await client.query('begin');
        await client.query("insert into notes (body) values ('left open')");
        if (fail) await client.query('select 1/0').catch(() => undefined);
      });
      client.release();
      expect(await asB(() => count(pool))).toBe(5);
      expect(await asA(() => count(pool))).toBe(10);
      expect((await withSystem('test', () => pool.query(leftOver))).rows).toEqual([{ tenant: '' }]);
    }
    expect(pool.totalCount).toBe(1);
  });

  it('rolls back also what was released without waiting for it', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    const pending = asA(() => Promise.all([client.query('begin'), client.query('select pg_sleep(0.05)')]));
    client.release();
    expect(await asB(() => count(pool))).toBe(5);
    await pending;
  });

  it('destroys a client that is released with an error', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    client.release(new Error('broken'));
    expect(pool.totalCount).toBe(0);
    expect(await asA(() => count(pool))).toBe(10);
  });
});
