import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { type ShadowMiss, TenantClient } from '../../src/pool/index.ts';
import { asA, asB, count, poolFixture, protectedTable } from './fixture.ts';

const at = poolFixture();
const tenants = Array.from({ length: 50 }, () => randomUUID());
const mine = 'select tenant_id, owner from marks';

beforeAll(async () => {
  await at.database.query(protectedTable('marks', 'owner uuid not null'));
  await at.database.query('insert into marks (tenant_id, owner) select t, t from unnest($1::uuid[]) t', [tenants]);
});

const backends = async (): Promise<number> => {
  const { rows } = await at.database.admin.query(
    "select count(*)::int n from pg_stat_activity where datname = current_database() and usename = 'Tenantry_Test_App'",
  );
  return (rows[0] as { n: number }).n;
};

describe('multiplexing', () => {
  it('shows 50 tenants on two shared connections their own rows alone, errors in between', async () => {
    const pool = at.open({ max: 1, multiplex: { connections: 2, depth: 16 } });
    const before = await backends();
    const outcomes = await Promise.all(
      Array.from({ length: 3_000 }, (_, i) => {
        const tenantId = tenants[(i * 7) % tenants.length] as string;
        return withTenant({ tenantId }, async () => {
          if (i % 17 === 0)
            return (
              (await pool.query('select 1 / $1::int', [0]).catch((error: { code: string }) => error.code)) === '22012'
            );
          if (i % 13 === 0)
            return (
              (await pool.query('select broken from marks').catch((error: { code: string }) => error.code)) === '42703'
            );
          const { rows } = await pool.query(i % 3 ? mine : { name: 'mine', text: mine });
          return rows.length === 1 && rows[0].tenant_id === tenantId && rows[0].owner === tenantId;
        });
      }),
    );
    expect(outcomes.filter((fine) => !fine)).toEqual([]);
    expect((await backends()) - before).toBeLessThanOrEqual(3);
  });

  it('runs transactions, cursors and what leaves something behind on connections of their own', async () => {
    const pool = at.open({ max: 1, multiplex: { connections: 1 } });
    const pid = 'select pg_backend_pid() as pid';
    const shared = (await asA(() => pool.query(pid))).rows[0];
    const client = await pool.connect();
    await asA(() => client.query('begin'));
    expect((await asA(() => client.query(pid))).rows[0]).not.toEqual(shared);
    expect((await asB(() => pool.query(pid))).rows[0]).toEqual(shared);
    await client.query('rollback');
    client.release();
    await asA(() => pool.query("set application_name = 'x'"));
    await asA(() => pool.query("select set_config('application_name', 'y', false)"));
    expect((await asB(() => pool.query("select current_setting('application_name') as name"))).rows).toEqual([
      { name: '' },
    ]);
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('keeps a slow statement from those behind it, and gives one that is slow twice a connection of its own', async () => {
    const pool = at.open({ max: 2, multiplex: { connections: 1, slowAfter: 10 } });
    const slow = 'select pg_sleep(0.3), pg_backend_pid() as pid';
    const pidOf = async (): Promise<number> => (await asA(() => pool.query(slow))).rows[0].pid;
    const shared = (await asA(() => pool.query('select pg_backend_pid() as pid'))).rows[0].pid;
    expect(await pidOf()).toBe(shared);
    const second = pidOf();
    await new Promise((resolve) => setTimeout(resolve, 100));
    // the shared connection is taken, so this one runs on another
    expect((await asB(() => pool.query('select pg_backend_pid() as pid'))).rows[0].pid).not.toBe(shared);
    expect(await second).toBe(shared);
    expect(await pidOf()).not.toBe(shared);
  });

  it('a shared connection that is lost fails what was on it, and is replaced', async () => {
    const pool = at.open({ max: 1, multiplex: { connections: 1, slowAfter: 10_000 } });
    const { pid } = (await asA(() => pool.query('select pg_backend_pid() as pid'))).rows[0];
    const sleeping = asA(() => pool.query('select pg_sleep(60)')).catch((error: Error) => error);
    const behind = asB(() => pool.query('select 1')).catch((error: Error) => error);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await asA(() => at.pool.query('select pg_terminate_backend($1)', [pid]));
    expect(await sleeping).toMatchObject({ code: '57P01' });
    expect(await behind).toBeInstanceOf(Error);
    expect(await asB(() => count(pool))).toBe(5);
    // also while nothing runs
    const { pid: next } = (await asA(() => pool.query('select pg_backend_pid() as pid'))).rows[0];
    await asA(() => at.pool.query('select pg_terminate_backend($1)', [next]));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await asA(() => count(pool))).toBe(10);
  });

  it('destroys a shared connection that is in a transaction', async () => {
    const client = new TenantClient({ connectionString: at.database.appUrl });
    await client.connect();
    client.startPipelining();
    const ended = new Promise((resolve) => client.once('end', resolve));
    client.connection.query('begin');
    await ended;
    await expect(asA(() => client.query('select 1'))).rejects.toThrow();
  });

  it('a server that cannot be reached is an error for all who wait', async () => {
    const pool = at.open({ connectionString: 'postgres://nobody@127.0.0.1:1/none', max: 1, multiplex: true });
    const failures = await Promise.allSettled([1, 2, 3].map(() => asA(() => pool.query('select 1'))));
    expect(failures.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  it('prepares again what another session changed', async () => {
    const pool = at.open({ max: 1, multiplex: { connections: 1 }, naming: { after: 1 } });
    const tenantId = tenants[0] as string;
    const read = () => withTenant({ tenantId }, () => pool.query('select * from marks'));
    await read();
    await at.database.query('set role tenantry_owner; alter table marks add column extra int; reset role');
    const results = await Promise.all([read(), read(), read()]);
    expect(results.map(({ fields }) => fields.length)).toEqual([3, 3, 3]);
  });

  it('sets shared connections up as the others, and ends them with the pool', async () => {
    const pool = at.open({
      max: 1,
      multiplex: { connections: 1 },
      onConnect: (client) => client.query("set application_name = 'shop'") as unknown as undefined,
    });
    expect((await asA(() => pool.query("select current_setting('application_name') as name"))).rows).toEqual([
      { name: 'shop' },
    ]);
    await new Promise<void>((resolve) => pool.end(resolve));
    await expect(asA(() => pool.query('select 1'))).rejects.toThrow('after calling end');
    pool.end = async () => undefined;
  });

  it.each([
    ['while its connections open', 0],
    ['while statements wait for a place', 30],
  ])('leaves no connection and no caller behind when the pool ends %s', async (_, wait) => {
    const before = await backends();
    for (let round = 0; round < 5; round += 1) {
      const pool = at.open({ max: 1, multiplex: { connections: 2, depth: 1 } });
      const asked = Array.from({ length: 20 }, () => asA(() => pool.query('select pg_sleep(0.005)')));
      const settled = Promise.allSettled(asked);
      await new Promise((resolve) => setTimeout(resolve, wait));
      await pool.end();
      pool.end = async () => undefined;
      await settled;
    }
    for (let tries = 0; (await backends()) > before && tries < 200; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await backends()).toBe(before);
  });

  it('ends a connection that could not be set up', async () => {
    const before = await backends();
    const pool = at.open({
      max: 1,
      multiplex: { connections: 1 },
      onConnect: (client) => client.query('select 1 / 0') as unknown as undefined,
    });
    await expect(asA(() => pool.query('select 1'))).rejects.toMatchObject({ code: '22012' });
    for (let tries = 0; (await backends()) > before && tries < 200; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await backends()).toBe(before);
  });

  it('without a context nothing is sent; shadow misses of neighbours are told apart', async () => {
    const misses: ShadowMiss[] = [];
    const pool = at.open({ max: 1, multiplex: { connections: 1 }, onShadowMiss: (miss) => misses.push(miss) });
    await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    const raise = (table: string) => `select 1 from (select set_config('app.note', '${table}', true)) s`;
    await Promise.all([asA(() => pool.query(raise('a'))), asB(() => pool.query(raise('b')))]);
    expect(misses).toEqual([]);
  });
});
