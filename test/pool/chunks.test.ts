import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TenantPool } from '../../src/pool/index.ts';
import { type Between, standBetween } from '../support/between.ts';
import { asA, asB, poolFixture } from './fixture.ts';

const at = poolFixture();

/** Cuts at places that are the same in each run, and nowhere special: 1 to 9 bytes, then all the rest. */
function* cut(chunk: Buffer): Generator<Buffer> {
  let start = 0;
  for (let i = 0; i < 60 && start < chunk.length; i++) {
    const size = 1 + ((i * 7 + chunk.length) % 9);
    yield chunk.subarray(start, start + size);
    start += size;
  }
  if (start < chunk.length) yield chunk.subarray(start);
}

let crumbs: Between;
let joined: Between;
beforeAll(async () => {
  crumbs = await standBetween(at.database.appUrl, { fromServer: cut });
  joined = await standBetween(at.database.appUrl);
});
afterAll(() => {
  crumbs.close();
  joined.close();
});

const values = `select 1 as a, null::text as b, 'ü€😀' as c, '' as d, true as e, 12.50::numeric as f, array[1, null, 3] as g,
  '{"h": [1]}'::jsonb as h, date '2026-02-28' as i, '\\x00ff'::bytea as j, 2 as a`;

/** What callers get, in every shape in which they can ask. */
async function answers(pool: TenantPool): Promise<unknown[]> {
  const found: unknown[] = [];
  const keep = (result: unknown): void => void found.push(result);
  const rows = ({ rows }: pg.QueryResult): unknown => rows;
  for (const as of [asA, asB]) {
    for (let round = 0; round < 3; round++) {
      keep(await as(() => pool.query({ name: 'notes', text: 'select body from notes order by id' })).then(rows));
      keep(await as(() => pool.query(values)));
      keep(await as(() => pool.query({ text: values, rowMode: 'array' })).then(rows));
      keep(await as(() => pool.query('select from notes')).then(({ rows, rowCount }) => [rows, rowCount]));
      keep(
        await as(() => pool.query('update notes set body = body where body like $1', ['%1%'])).then((r) => r.rowCount),
      );
      keep(await as(() => pool.query('select repeat($1, 200000) as big', ['xyz'])).then(rows));
      keep(await as(() => pool.query('select 1 as one; select body from notes order by id limit 2')));
      keep(await as(() => pool.query('select 1 / (body = $1)::int from notes', ['?'])).catch((e: Error) => e.message));
      keep(await as(() => pool.query("do $$ begin raise notice 'heard'; end $$")).then(({ command }) => command));
      const binary = { text: 'select $1::int4 as n, null as none', values: [7], binary: true };
      keep(await as(() => pool.query(binary)).then(rows));
    }
    const client = await pool.connect();
    const heard: unknown[] = [];
    client.on('notice', ({ message }) => heard.push(message));
    await as(async () => {
      const cursor = client.query(new Cursor('select id from notes order by id'));
      keep([await cursor.read(2), await cursor.read(100)]);
      await cursor.close();
      await client.query("do $$ begin raise notice 'to the borrower'; end $$");
      await client.query('begin');
      await client
        .query('create temporary table t (a int, b text) on commit drop')
        .catch((e: Error) => keep(e.message));
      await client.query('rollback');
      const out: string[] = [];
      for await (const chunk of client.query(copyTo('copy (select body from notes order by id) to stdout'))) {
        out.push(String(chunk));
      }
      keep(out.join(''));
    });
    keep(heard);
    client.release();
  }
  await expect(
    asA(async () => {
      const client = await pool.connect();
      try {
        await pipeline(Readable.from(['1\n']), client.query(copyFrom('copy notes (body) from stdin')));
      } finally {
        client.release();
      }
    }),
  ).rejects.toThrow(/COPY FROM/);
  return found;
}

describe('D5 what the server says, in whatever pieces it comes', () => {
  it('gives the same answers in crumbs as in one piece, and through shared connections', async () => {
    const whole = await answers(at.open({ connectionString: joined.url, max: 2 }));
    expect(await answers(at.open({ connectionString: crumbs.url, max: 2 }))).toEqual(whole);
    const shared = { multiplex: { connections: 1 }, max: 2 };
    expect(await answers(at.open({ connectionString: crumbs.url, ...shared }))).toEqual(whole);
  });

  it('reads rows as plain pg does', async () => {
    const plain = new pg.Pool({ connectionString: at.database.adminUrl, max: 1 });
    try {
      const pool = at.open({ connectionString: crumbs.url, max: 1 });
      for (const more of [{}, { rowMode: 'array' as const }, { name: 'kept' }, { name: 'kept' }]) {
        const { rows } = await plain.query({ text: values, ...more });
        expect(await asA(() => pool.query({ text: values, ...more })).then((result) => result.rows)).toEqual(rows);
      }
    } finally {
      await plain.end();
    }
  });

  it('whoever listens to every message of a connection hears them all', async () => {
    const client = await at.open({ connectionString: crumbs.url, max: 1 }).connect();
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
    const heard: string[] = [];
    connection.on('message', ({ name }: { name: string }) => heard.push(name));
    await asA(() => client.query('select body from notes where id = 1'));
    client.release();
    expect(heard).toEqual(expect.arrayContaining(['bindComplete', 'dataRow', 'commandComplete', 'readyForQuery']));
  });
});
