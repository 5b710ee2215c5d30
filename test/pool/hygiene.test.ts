import { describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import { asA, asB, count, leftOver, poolFixture, tenantA } from './fixture.ts';

const at = poolFixture();

describe('D5 what one tenant leaves on a connection, the next does not find', () => {
  it('session settings: SET, set_config, in a text, in a DO block, by a client', async () => {
    const pool = at.open({ max: 1 });
    const attempts = [
      `set app.tenant_id = '${tenantA}'`,
      `select set_config('app.tenant_id', '${tenantA}', false)`,
      `select 1; set session app.tenant_id = '${tenantA}'; select 2`,
      `do $$ begin perform set_config('app.tenant_id', '${tenantA}', false); end $$`,
    ];
    for (const attempt of attempts) {
      await asA(() => pool.query(attempt));
      expect((await withSystem('look', () => pool.query(leftOver))).rows).toEqual([{ tenant: '' }]);
      expect(await asB(() => count(pool))).toBe(5);
    }
    const client = await pool.connect();
    await asA(() => client.query("set statement_timeout = '7s'"));
    expect((await asA(() => client.query('show statement_timeout'))).rows).toEqual([{ statement_timeout: '7s' }]);
    client.release();
    expect((await asA(() => pool.query('show statement_timeout'))).rows).toEqual([{ statement_timeout: '0' }]);
    expect(pool.totalCount).toBe(1);
  });

  it('SET LOCAL and set_config(…, true) cost no clean-up', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    const kept = "select count(*)::int n from pg_prepared_statements where statement = 'select 41'";
    await asA(() => pool.query('select 41'));
    await asA(() =>
      pool.query("select set_config('app.note', 'x', true), set_config('app.user_id', coalesce('a(b', ''), true)"),
    );
    const client = await pool.connect();
    await asA(async () => {
      await client.query('begin');
      await client.query("set local statement_timeout = '7s'");
      await client.query('commit');
    });
    client.release();
    expect((await asA(() => pool.query(kept))).rows).toEqual([{ n: 1 }]);
  });

  it('temporary tables, held cursors, listeners, advisory locks, prepared statements', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    await asA(async () => {
      await client.query('create temp table secrets as select body from notes');
      await client.query('begin');
      await client.query('declare held cursor with hold for select body from notes');
      await client.query('commit');
      await client.query('listen gossip');
      await client.query('select pg_advisory_lock(42)');
      await client.query('prepare theirs as select body from notes');
    });
    client.release();
    await asB(async () => {
      await expect(pool.query('select * from secrets')).rejects.toMatchObject({ code: '42P01' });
      await expect(pool.query('fetch all from held')).rejects.toMatchObject({ code: '34000' });
      expect((await pool.query('select * from pg_listening_channels()')).rows).toEqual([]);
      expect(
        (await pool.query("select * from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")).rows,
      ).toEqual([]);
      await expect(pool.query('execute theirs')).rejects.toMatchObject({ code: '26000' });
    });
  });

  it('one at a time: each is told from its text', async () => {
    for (const [leave, look, found] of [
      ['create temporary table t1 as select 1 as one', "select to_regclass('pg_temp.t1')::text as x", null],
      ['select 1 as one into temp t2', "select to_regclass('pg_temp.t2')::text as x", null],
      [
        'select pg_try_advisory_lock(7)',
        "select count(*)::text x from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
        '0',
      ],
      ['listen l1', 'select count(*)::text x from pg_listening_channels()', '0'],
      ['prepare p1 as select 1', "select count(*)::text x from pg_prepared_statements where name = 'p1'", '0'],
      [
        'begin; declare c1 cursor with hold for select 1; commit',
        "select count(*)::text x from pg_cursors where name = 'c1'",
        '0',
      ],
    ] as const) {
      const pool = at.open({ max: 1 });
      await asA(() => pool.query(leave));
      expect((await asB(() => pool.query(look))).rows).toEqual([{ x: found }]);
    }
  });

  it('sets a connection up again after that, as onConnect did at first', async () => {
    let connects = 0;
    const pool = at.open({
      max: 1,
      onConnect: (client) => {
        connects++;
        return client.query("set application_name = 'shop'") as unknown as undefined;
      },
    });
    expect((await asA(() => pool.query('show application_name'))).rows).toEqual([{ application_name: 'shop' }]);
    await asA(() => pool.query("set application_name = 'other'"));
    expect((await asA(() => pool.query('show application_name'))).rows).toEqual([{ application_name: 'shop' }]);
    expect(connects).toBeGreaterThan(1);
  });

  it('a clean-up that fails takes the connection with it', async () => {
    const pool = at.open({ max: 1 });
    const client = await pool.connect();
    client.on('error', () => undefined);
    await asA(() => client.query('begin'));
    const { rows } = await asA(() => client.query('select pg_backend_pid() as pid'));
    await asA(() => at.pool.query('select pg_terminate_backend($1)', [(rows[0] as { pid: number }).pid]));
    client.release();
    expect(await asB(() => count(pool))).toBe(5);
  });
});
