import pg from 'pg';
import Cursor from 'pg-cursor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import type { TenantPool, TenantPoolOptions } from '../../src/pool/index.ts';
import { hasPgBouncer, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { asA, asB, count, leftOver, poolFixture, tenantA } from './fixture.ts';

if (!hasPgBouncer) console.log('PgBouncer is not installed: its tests are skipped (apt-get install pgbouncer).');

describe.skipIf(!hasPgBouncer)('D5 behind PgBouncer in transaction mode, two clients on one backend', () => {
  const at = poolFixture();
  let pooler: PgBouncer;
  let url: string;
  const open = (options: TenantPoolOptions = {}): TenantPool =>
    at.open({ connectionString: url, max: 2, pooler: 'transaction', ...options });

  beforeAll(async () => {
    pooler = await startPgBouncer(at.database.appUrl);
    url = pooler.through(at.database.appUrl);
  });
  afterAll(() => pooler.stop());

  it('3,000 mixed queries of two tenants: no error, no foreign row, nothing left', async () => {
    const first = open();
    const second = open();
    const wrong: unknown[] = [];
    const one = async (i: number): Promise<void> => {
      const [as, expected] = i % 2 ? [asA, 10] : [asB, 5];
      const pool = i % 3 ? first : second;
      const n = await as(async () => {
        if (i % 5 === 0)
          return ((await pool.query('select count(*)::int n from notes; select 1')) as unknown as pg.QueryResult[])[0]
            ?.rows[0].n;
        if (i % 5 === 1)
          return (await pool.query({ name: 'n', text: 'select count(*)::int n from notes where id > $1', values: [0] }))
            .rows[0].n;
        return count(pool);
      });
      if (n !== expected) wrong.push({ i, n });
    };
    for (let i = 0; i < 3_000; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => one(i + k)));
    expect(wrong).toEqual([]);
    const left = await withSystem('look', () =>
      first.query(`${leftOver}, (select count(*)::int from pg_prepared_statements) as prepared`),
    );
    expect(left.rows).toEqual([{ tenant: '', prepared: 0 }]);
  });

  it('transactions, savepoints, cursors, errors', async () => {
    const pool = open();
    const client = await pool.connect();
    await asA(async () => {
      await client.query('begin isolation level repeatable read');
      expect(await count(client)).toBe(10);
      await client.query('savepoint s');
      await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
      await client.query('rollback to s');
      expect(await count(client)).toBe(10);
      await client.query('commit');
      const cursor = client.query(new Cursor('select body from notes'));
      expect(await cursor.read(100)).toHaveLength(10);
      await cursor.close();
    });
    client.release();
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('multiplexed too', async () => {
    const pool = open({ multiplex: { connections: 2 } });
    const counts = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? asA : asB)(() => count(pool))));
    expect(counts.every((n, i) => n === (i % 2 ? 10 : 5))).toBe(true);
  });

  it('refuses to set the context for the session: it would stay with the next client', async () => {
    const pool = open();
    for (const text of [
      `set app.tenant_id = '${tenantA}'`,
      `select set_config('app.tenant_id', '${tenantA}', false)`,
      'listen x',
    ]) {
      await expect(asA(() => pool.query(text))).rejects.toMatchObject({ code: 'TNT_QUERY_UNSUPPORTED' });
    }
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('the session-level form does leak: a client without any context reads the rows of the other', async () => {
    const careless = new pg.Client({ connectionString: url });
    const innocent = new pg.Client({ connectionString: url });
    await Promise.all([careless.connect(), innocent.connect()]);
    expect(await count(innocent)).toBe(0);
    await careless.query(`set app.tenant_id = '${tenantA}'`);
    expect(await count(innocent)).toBe(10);
    await careless.query('reset app.tenant_id');
    await Promise.all([careless.end(), innocent.end()]);
  });
});
