import { describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import { asA, asB, count, leftOver, poolFixture, tenantA, tenantB } from './fixture.ts';

const at = poolFixture();

describe('D5 a query carries its context', () => {
  it('shows each tenant its own rows, by text, parameters, name and array mode', async () => {
    expect(await asA(() => count(at.pool))).toBe(10);
    expect(await asB(() => count(at.pool))).toBe(5);
    const byParameter = { text: 'select body from notes where body = $1', values: ['a1'] };
    expect((await asA(() => at.pool.query(byParameter))).rows).toEqual([{ body: 'a1' }]);
    expect((await asB(() => at.pool.query(byParameter))).rows).toEqual([]);
    const named = { name: 'one', text: 'select body from notes where id = $1', values: [1] };
    for (let i = 0; i < 3; i++) {
      expect((await asA(() => at.pool.query(named))).rows).toEqual([{ body: 'a1' }]);
      expect((await asB(() => at.pool.query(named))).rows).toEqual([]);
    }
    const rows = await asB(() => at.pool.query({ text: 'select id, body from notes order by id', rowMode: 'array' }));
    expect(rows.rows[0]).toEqual([11, 'b1']);
    expect(rows.fields.map((field) => field.name)).toEqual(['id', 'body']);
  });

  it('answers as pg does: command, rowCount, fields, types', async () => {
    const inserted = await asA(() => at.pool.query("insert into notes (body) values ('new'), ('new') returning body"));
    expect([inserted.command, inserted.rowCount, inserted.rows.length]).toEqual(['INSERT', 2, 2]);
    const deleted = await asA(() => at.pool.query("delete from notes where body = 'new'"));
    expect([deleted.command, deleted.rowCount]).toEqual(['DELETE', 2]);
    const typed = await asA(() =>
      at.pool.query('select 1::int as i, true as b, null as n, array[1,2] as a, $1::jsonb as j', [{ k: 1 }]),
    );
    expect(typed.rows).toEqual([{ i: 1, b: true, n: null, a: [1, 2], j: { k: 1 } }]);
    const custom = await asA(() =>
      at.pool.query({
        text: 'select 7::int as i',
        types: { getTypeParser: () => (value: string) => `<${value}>` },
      } as never),
    );
    expect((custom as { rows: unknown[] }).rows).toEqual([{ i: '<7>' }]);
  });

  it('reads a prepared statement by the parsers of each call', async () => {
    const as = (word: string) => ({
      name: 'typed',
      text: 'select 7::int as i, null::int as n',
      types: { getTypeParser: () => (value: string) => `${word} ${value}` },
    });
    const read = (query: object) => at.pool.query(query as never) as unknown as Promise<{ rows: unknown[] }>;
    await asA(async () => {
      expect((await read({ name: 'typed', text: as('').text })).rows).toEqual([{ i: 7, n: null }]);
      for (const word of ['one', 'two']) expect((await read(as(word))).rows).toEqual([{ i: `${word} 7`, n: null }]);
      const asArray = await read({ ...as('three'), rowMode: 'array' });
      expect(asArray.rows).toEqual([['three 7', null]]);
      expect((await read({ name: 'typed', text: as('').text })).rows).toEqual([{ i: 7, n: null }]);
    });
  });

  it('tells the user, and a tenant key only when there is one', async () => {
    const userId = '0190a000-0000-7000-8000-000000000001';
    const text =
      "select current_setting('app.tenant_id', true) t, current_setting('app.user_id', true) u, current_setting('app.tenant_key', true) k";
    const one = async (): Promise<unknown> => (await at.pool.query(text)).rows[0];
    expect(await withTenant({ tenantId: tenantA, userId, tenantKey: "o'\\42" }, one)).toEqual({
      t: tenantA,
      u: userId,
      k: "o'\\42",
    });
    expect(await withTenant({ tenantId: tenantB }, one)).toMatchObject({ t: tenantB, u: '' });
    expect(await withUser({ userId }, one)).toMatchObject({ t: '', u: userId });
  });

  it('leaves nothing on the connection', async () => {
    const pool = at.open({ max: 1 });
    await asA(() => count(pool));
    expect((await withSystem('test', () => pool.query(leftOver))).rows).toEqual([{ tenant: '' }]);
  });

  it('refuses a query outside of any context before anything is sent', async () => {
    const pool = at.open({ max: 1 });
    await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    expect(pool.totalCount).toBe(0);
    const client = await pool.connect();
    await expect(client.query('select body from notes')).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    client.release();
  });

  it('lets probes through under a system context, which sees no row', async () => {
    expect(await withSystem('probe', () => count(at.pool))).toBe(0);
  });

  it('calls back, in the context of the caller', async () => {
    const seen = await asA(
      () =>
        new Promise((resolve, reject) => {
          at.pool.query('select 1 as one', (error: Error | null) => (error ? reject(error) : resolve(count(at.pool))));
        }),
    );
    expect(seen).toBe(10);
  });

  it('runs texts with several statements, the context in front', async () => {
    const results = (await asA(() =>
      at.pool.query('select count(*)::int n from notes; select 2 as two'),
    )) as unknown as { rows: unknown[] }[];
    expect(results.map((result) => result.rows)).toEqual([[{ n: 10 }], [{ two: 2 }]]);
    await expect(asA(() => at.pool.query('select 1; select nothing'))).rejects.toMatchObject({
      code: '42703',
      position: '18',
    });
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('keeps the client after an ordinary error, and the stack of the caller', async () => {
    const pool = at.open({ max: 1 });
    const pid = async (): Promise<unknown> => (await pool.query('select pg_backend_pid() as pid')).rows[0];
    const before = await asA(pid);
    const failure = await asA(function theCaller() {
      return askForTheImpossible();
    }).catch((error: Error) => error);
    async function askForTheImpossible(): Promise<void> {
      await pool.query('select 1/0');
    }
    expect(failure).toMatchObject({ code: '22012' });
    expect((failure as Error).stack).toContain('askForTheImpossible');
    expect(await asA(pid)).toEqual(before);
  });
});
