import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import { asA, asB, count, leftOver, poolFixture, tenantA } from './fixture.ts';

const at = poolFixture();

beforeAll(async () => {
  await at.database.query('grant create on schema public to tenantry_app');
  await at.database.query(`
    create procedure public.commits() language plpgsql as $$ begin commit; end $$;
    create procedure public.counts(inout n int) language plpgsql as $$ begin select count(*) into n from public.notes; end $$;
    grant execute on all routines in schema public to tenantry_app`);
  await withSystem('own tables', () =>
    at.pool.query(`create table measurements (id int, day int) partition by range (day);
      create table measurements_1 partition of measurements for values from (1) to (2)`),
  );
});

describe('statements that are no ordinary queries', () => {
  it('VACUUM, CONCURRENTLY and the like run without the context in front', async () => {
    await asA(async () => {
      await at.pool.query('vacuum measurements_1');
      await at.pool.query('create index concurrently by_id on measurements_1 (id)');
      await at.pool.query('reindex (concurrently) index by_id');
      await at.pool.query('drop index concurrently by_id');
    });
    expect(await asA(() => count(at.pool))).toBe(10);
  });

  it('what is not known to be one is tried once more without the context', async () => {
    await asA(() => at.pool.query('alter table measurements detach partition measurements_1 concurrently'));
    await asA(() =>
      at.pool.query('alter table measurements attach partition measurements_1 for values from (1) to (2)'),
    );
    // known by now: no second try
    await asA(() => at.pool.query('alter table measurements detach partition measurements_1 concurrently'));
  });

  it('in an explicit transaction the refusal of the server stands', async () => {
    const client = await at.pool.connect();
    await asA(async () => {
      await client.query('begin');
      await expect(client.query('vacuum measurements')).rejects.toMatchObject({ code: '25001' });
      await client.query('rollback');
    });
    client.release();
  });

  it('CALL is refused outside of a transaction, and runs inside one', async () => {
    await expect(asA(() => at.pool.query('call public.commits()'))).rejects.toMatchObject({
      code: 'TNT_QUERY_UNSUPPORTED',
    });
    const client = await at.pool.connect();
    await asA(async () => {
      await client.query('begin');
      expect((await client.query('call public.counts(0)')).rows).toEqual([{ n: 10 }]);
      await client.query('commit');
    });
    client.release();
    await withSystem('maintenance', () => at.pool.query('call public.commits()'));
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('SHOW, SET LOCAL, EXPLAIN, DO, empty text', async () => {
    await asA(async () => {
      expect((await at.pool.query('show server_encoding')).rows).toEqual([{ server_encoding: 'UTF8' }]);
      await at.pool.query(
        'do $$ begin if (select count(*) from public.notes) <> 10 then raise exception $a$no$a$; end if; end $$',
      );
      expect((await at.pool.query('explain select * from notes')).rows.length).toBeGreaterThan(0);
      expect((await at.pool.query('')).rows).toEqual([]);
      expect((await at.pool.query('-- nothing')).rows).toEqual([]);
    });
  });

  it('NOTIFY is delivered at once, LISTEN ends with the check-out', async () => {
    const pool = at.open({ max: 1 });
    const listener = await pool.connect();
    const heard = new Promise<pg.Notification>((resolve) => listener.on('notification', resolve));
    await listener.query('listen news');
    await asA(() => at.pool.query("notify news, 'hello'"));
    expect((await heard).payload).toBe('hello');
    listener.release();
    expect((await asA(() => pool.query('select * from pg_listening_channels()'))).rows).toEqual([]);
  });

  it('a query in a callback of LISTEN has no context', async () => {
    const listener = await at.pool.connect();
    const outcome = new Promise((resolve) => {
      listener.on('notification', () => resolve(count(at.pool).catch((error: { code: string }) => error.code)));
    });
    await asA(() => listener.query('listen alerts'));
    await asB(() => at.pool.query('notify alerts'));
    expect(await outcome).toBe('TNT_CONTEXT_MISSING');
    listener.release();
  });
});

describe('a statement that ends badly', () => {
  it('statement_timeout ends the statement alone', async () => {
    const pool = at.open({ max: 1, statement_timeout: 50 });
    await expect(asA(() => pool.query('select pg_sleep(5)'))).rejects.toMatchObject({ code: '57014' });
    expect(await asA(() => count(pool))).toBe(10);
  });

  it('query_timeout gives up the connection, and the pool goes on', async () => {
    const pool = at.open({ max: 1, query_timeout: 50 });
    await expect(asA(() => pool.query('select pg_sleep(5)'))).rejects.toThrow('Query read timeout');
    expect(await asB(() => count(pool))).toBe(5);
    const client = await pool.connect();
    const slow = asA(() => client.query('select pg_sleep(5)')).catch((error: Error) => error.message);
    expect(await slow).toBe('Query read timeout');
    client.release();
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('an AbortSignal cancels on the server', async () => {
    const pool = at.open({ max: 1 });
    const controller = new AbortController();
    const running = asA(() => pool.query({ text: 'select pg_sleep(600)', signal: controller.signal } as never));
    setTimeout(() => controller.abort(), 100);
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect(await asB(() => count(pool))).toBe(5);
    await expect
      .poll(async () => {
        const { rows } = await at.database.admin.query(
          "select count(*)::int n from pg_stat_activity where datname = current_database() and usename = 'Tenantry_Test_App'",
        );
        return (rows[0] as { n: number }).n;
      })
      .toBeLessThan(12);
    await expect(
      asA(() => pool.query({ text: 'select 1', signal: AbortSignal.abort() } as never)),
    ).rejects.toMatchObject({ name: 'AbortError' });
    const holder = await pool.connect();
    const waiting = new AbortController();
    const queued = asA(() => pool.query({ text: 'select 1', signal: waiting.signal } as never));
    waiting.abort(new Error('gone'));
    await expect(queued).rejects.toThrow('gone');
    holder.release();
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('pg_cancel_backend and pg_terminate_backend reach the query, never a neighbour', async () => {
    const pool = at.open({ max: 1 });
    const pid = async (): Promise<number> =>
      ((await asA(() => pool.query('select pg_backend_pid() as pid'))).rows[0] as { pid: number }).pid;
    const backend = await pid();
    const cancelled = asA(() => pool.query('select pg_sleep(600)'));
    setTimeout(() => void asB(() => at.pool.query('select pg_cancel_backend($1)', [backend])), 50);
    await expect(cancelled).rejects.toMatchObject({ code: '57014' });
    expect(await pid()).toBe(backend);
    const terminated = asA(() => pool.query('select pg_sleep(600)'));
    setTimeout(() => void asB(() => at.pool.query('select pg_terminate_backend($1)', [backend])), 50);
    await expect(terminated).rejects.toMatchObject({ code: '57P01' });
    expect(await pid()).not.toBe(backend);
    expect((await withSystem('test', () => pool.query(leftOver))).rows).toEqual([{ tenant: '' }]);
  });

  it('an idle connection that is terminated leaves the pool, as with pg', async () => {
    const pool = at.open({ max: 1 });
    const lost = new Promise((resolve) => pool.once('error', resolve));
    const { rows } = await asA(() => pool.query('select pg_backend_pid() as pid'));
    await asA(() => at.pool.query('select pg_terminate_backend($1)', [(rows[0] as { pid: number }).pid]));
    await lost;
    expect(await asA(() => count(pool))).toBe(10);
  });

  it('values that cannot be serialized fail before anything is written', async () => {
    const circular = { toPostgres: (): unknown => circular };
    await expect(asA(() => at.pool.query('select $1', [circular]))).rejects.toThrow('circular');
    await expect(asA(() => at.pool.query('select $1', 3 as never))).rejects.toThrow('must be an array');
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('a type parser that throws fails that query alone', async () => {
    const types = {
      getTypeParser: () => (): never => {
        throw new Error('unreadable');
      },
    };
    await expect(asA(() => at.pool.query({ text: 'select 1', types } as never))).rejects.toThrow('unreadable');
    expect(await asA(() => count(at.pool))).toBe(10);
  });

  it('waits for a connection no longer than connectionTimeoutMillis', async () => {
    const pool = at.open({ max: 1, connectionTimeoutMillis: 1_500 });
    const holder = await pool.connect();
    await expect(asA(() => pool.query('select 1'))).rejects.toThrow('timeout exceeded when trying to connect');
    holder.release();
    expect(await asB(() => count(pool))).toBe(5);
  });

  it('a pool that was ended says so', async () => {
    const pool = at.open({ max: 1 });
    await asA(() => count(pool));
    await pool.end();
    await expect(asA(() => pool.query('select 1'))).rejects.toThrow('Cannot use a pool after calling end');
    pool.end = async () => undefined;
  });
});

describe('passwords', () => {
  it('stay out of sight', () => {
    const pool = at.open();
    expect(JSON.stringify(pool.options)).not.toContain(new URL(at.database.appUrl).password.slice(0, 6) + '"');
    const hidden = at.open({ password: 'secret-word' });
    expect(Object.keys(hidden.options)).not.toContain('password');
    expect(tenantA).toHaveLength(36);
  });
});
