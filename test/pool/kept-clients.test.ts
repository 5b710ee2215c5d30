import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { afterEach, describe, expect, it } from 'vitest';
import { withSystem } from '../../src/context/index.ts';
import { asA, asB, count, poolFixture, tenantA } from './fixture.ts';

const fixture = poolFixture({ max: 1 });
const changed = { code: 'TNT_CONTEXT_CHANGED' };
let client: pg.PoolClient | undefined;

/** A client with a transaction open that tenant A began, as a request hands it to code that runs for somebody else. */
async function openedByA(
  prepare: (client: pg.PoolClient) => Promise<unknown> = async () => {},
): Promise<pg.PoolClient> {
  return asA(async () => {
    client = await fixture.pool.connect();
    await prepare(client);
    await client.query('begin');
    expect(await count(client)).toBe(10);
    return client;
  });
}

afterEach(() => {
  client?.release();
  client = undefined;
});

describe("D5 what runs for B inside A's transaction is refused, whatever its shape", () => {
  it('a text that rolls back to a savepoint of the failed transaction and then reads', async () => {
    const kept = await openedByA();
    await asA(async () => {
      await kept.query('savepoint s');
      await expect(kept.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    });
    const text = 'rollback to savepoint s; select * from notes';
    await expect(asB(() => kept.query(text))).rejects.toMatchObject(changed);
    await expect(
      asB(
        () =>
          new Promise((done, fail) => kept.query(new pg.Query(text, [], (error) => (error ? fail(error) : done(1))))),
      ),
    ).rejects.toMatchObject(changed);
    // A itself goes on
    expect(await asA(() => kept.query(text))).toMatchObject([{ rowCount: null }, { rowCount: 10 }]);
  });

  it('a COPY in the failed transaction does not take it over for B', async () => {
    const kept = await openedByA();
    await asA(async () => {
      await kept.query('savepoint s');
      await expect(kept.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    });
    await expect(asB(() => drain(kept.query(copyTo('copy notes to stdout'))))).rejects.toMatchObject({ code: '25P02' });
    await expect(asB(() => kept.query('rollback to savepoint s; select * from notes'))).rejects.toMatchObject(changed);
  });

  it('a statement asked for by its name alone', async () => {
    const kept = await openedByA((c) =>
      c.query({ name: 'all', text: 'select * from notes', rows: 100 } as pg.QueryConfig),
    );
    const named = { name: 'all' } as pg.QueryConfig;
    await expect(asB(() => kept.query(named))).rejects.toMatchObject(changed);
    await expect(kept.query(named)).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    await asA(() => kept.query('rollback'));
    expect((await asB(() => kept.query(named))).rowCount).toBe(5);
  });

  it('a COPY in a system context', async () => {
    const kept = await openedByA();
    await expect(withSystem('export', () => drain(kept.query(copyTo('copy notes to stdout'))))).rejects.toMatchObject(
      changed,
    );
    await asA(() => kept.query('rollback'));
    expect(await withSystem('export', () => drain(kept.query(copyTo('copy notes to stdout'))))).toBe('');
  });

  it('a statement that could not run behind a context once', async () => {
    await fixture.database.query(
      `create function sometimes(b boolean) returns setof notes language plpgsql as
       $$ begin if b then execute 'vacuum notes'; end if; return query select * from notes; end $$`,
    );
    const sometimes = (b: boolean) => ({ text: 'select * from sometimes($1)', values: [b] });
    const kept = await openedByA(async (c) => {
      await expect(c.query(sometimes(true))).rejects.toMatchObject({ code: '25001' });
      // it is an ordinary statement all the same, and keeps its context
      expect((await c.query(sometimes(false))).rowCount).toBe(10);
    });
    await expect(asB(() => kept.query(sometimes(false)))).rejects.toMatchObject(changed);
    await asA(() => kept.query('rollback'));
  });
});

describe('D5 a connection carries nothing over to the next request', () => {
  it('a query object that was sent for A is refused for B', async () => {
    const got: { rows?: unknown[]; code?: string }[] = [];
    const query = new pg.Query('select * from notes', [], (error, result) => got.push((error ?? result) as never));
    client = await asA(() => fixture.pool.connect());
    const kept = client;
    for (const as of [asA, asB]) {
      await as(async () => {
        kept.query(query);
        await kept.query('select 1');
      });
    }
    expect(got.map(({ rows, code }) => code ?? rows?.length)).toEqual([10, 'TNT_QUERY_UNSUPPORTED']);
  });

  it("A's listener does not hear what the server says to B; one that the pool's owner set up goes on", async () => {
    const pool = fixture.open({ max: 1 });
    const heard = { byOwner: 0, byA: 0 };
    pool.on('connect', (c) => c.on('notice', () => heard.byOwner++));
    const say = "do $$ begin raise notice '%', (select string_agg(body, ',') from notes); end $$";
    await asA(async () => {
      const c = await pool.connect();
      c.on('notice', () => heard.byA++);
      c.once('notification', () => heard.byA++);
      await c.query(say);
      c.release();
    });
    await asB(() => pool.query(say));
    expect(heard).toEqual({ byOwner: 2, byA: 1 });
  });

  it('a temporary table whose schema is quoted, as an ORM writes it', async () => {
    await fixture.database.query(`grant temporary on database ${fixture.database.name} to public`);
    await asA(() => fixture.pool.query('create table "pg_temp"."kept" as select * from notes'));
    await expect(asB(() => fixture.pool.query('select * from kept'))).rejects.toMatchObject({ code: '42P01' });
  });

  it('a statement that pg itself has prepared is prepared again after the connection was cleaned', async () => {
    const pool = fixture.open({ max: 1 });
    const named = { name: 'mine', text: 'select * from notes', rows: 100 } as pg.QueryConfig;
    await asA(async () => {
      const c = await pool.connect();
      await c.query(named);
      await c.query("set statement_timeout = '9s'");
      c.release();
    });
    expect((await asB(() => pool.query(named))).rowCount).toBe(5);
  });
});

it('D5 behind a transaction pooler a setting whose name comes with the values is refused: it could be the context', async () => {
  const pool = fixture.open({ max: 1, pooler: 'transaction' });
  const set = (local: boolean) => pool.query(`select set_config( $1, $2, ${local})`, ['app.tenant_id', tenantA]);
  await expect(asA(() => set(false))).rejects.toMatchObject({ code: 'TNT_QUERY_UNSUPPORTED' });
  await asA(() => set(true));
  expect(await withSystem('count', () => count(pool))).toBe(0);
});

it('D5 a query in batches of rows is refused without a context, by its own promise', async () => {
  const batches = { text: 'select * from notes', rows: 100 } as pg.QueryConfig;
  await expect(fixture.pool.query(batches)).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
  expect(await asB(() => count(fixture.pool))).toBe(5);
});

it('a COPY FROM STDIN among several statements fails instead of waiting for ever', async () => {
  await fixture.database.query('create table plain (a int); grant insert on plain to public');
  await expect(asA(() => fixture.pool.query('select 1; copy plain from stdin'))).rejects.toMatchObject({
    code: '57014',
  });
  expect(await asB(() => count(fixture.pool))).toBe(5);
});

async function drain(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
