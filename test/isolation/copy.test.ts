import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCopyRows } from '../../src/isolation/copy-format.ts';
import { copyFrom, copyRows } from '../../src/isolation/index.ts';
import { createShop, plainPool, type Shop } from './shop.ts';

let shop: Shop;
let pool: Pool;
beforeAll(async () => {
  shop = await createShop(`
    create table public.loads (id int primary key, tenant_id uuid not null, name varchar(5), at timestamptz, tags text[], data jsonb, raw bytea,
      price numeric(6, 2), double int generated always as (id * 2) stored)`);
  await shop.isolation.enforce('loads');
  pool = plainPool(shop.db.appUrl, 1);
});
afterAll(async () => {
  await pool.end();
  await shop.drop();
});

async function inAcme<T>(fn: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query("select set_config('app.tenant_id', $1, true)", [shop.acme]);
    const result = await fn(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}
const columns = ['id', 'tenant_id', 'name'];

describe('rows for protected tables, where COPY FROM is refused', () => {
  it('writes values of every kind in batches', async () => {
    const at = new Date('2026-01-02T03:04:05.000Z');
    const row = (id: number) => [
      id,
      shop.acme,
      `n${id}`,
      at,
      ['a', 'b "c"', null],
      { x: [1] },
      Buffer.from('hi'),
      12.5,
    ];
    const written = await inAcme((client) =>
      copyRows(
        client,
        'loads',
        Array.from({ length: 25 }, (_, i) => row(i + 1)),
        { batch: 10 },
      ),
    );
    expect(written).toBe(25);
    const rows = await shop.as(shop.acme, 'select *, price::text as price from public.loads where id = 25');
    expect(rows).toEqual([
      {
        id: 25,
        tenant_id: shop.acme,
        name: 'n25',
        at,
        tags: ['a', 'b "c"', null],
        data: { x: [1] },
        raw: Buffer.from('hi'),
        price: '12.50',
        double: 50,
      },
    ]);
  });

  it('refuses a row of another tenant, and a transaction takes all of it back', async () => {
    const rows = [
      [101, shop.acme, 'mine'],
      [102, shop.bolt, 'not'],
    ];
    await expect(
      inAcme((client) => copyRows(client, 'public.loads', rows, { columns, batch: 1 })),
    ).rejects.toMatchObject({ code: '42501' });
    expect(await shop.db.query('select id from public.loads where id > 100')).toEqual([]);
  });

  it('reads the text and the CSV of a COPY, in pieces', async () => {
    const text = `201\t${shop.acme}\ta\\tb\\\\\n202\t${shop.acme}\t\\N\n\\.\nnot read`;
    const csv = `id,tenant_id,name\r\n203,${shop.acme},"q""x"\r\n204,${shop.acme},\n205,${shop.acme},""\n206,${shop.acme},"a\nb"`;
    const pieces = (all: string) => all.match(/[\s\S]{1,3}/g)!.map((piece) => Buffer.from(piece));
    expect(await inAcme((client) => copyFrom(client, 'loads', pieces(text), { columns }))).toBe(2);
    expect(
      await inAcme((client) => copyFrom(client, 'loads', pieces(csv), { columns, format: 'csv', header: true })),
    ).toBe(4);
    expect(await shop.as(shop.acme, 'select id, name from public.loads where id > 200 order by id')).toEqual([
      { id: 201, name: 'a\tb\\' },
      { id: 202, name: null },
      { id: 203, name: 'q"x' },
      { id: 204, name: null },
      { id: 205, name: '' },
      { id: 206, name: 'a\nb' },
    ]);
  });

  it('does not cut what the column refuses, and names rows and columns that do not fit', async () => {
    await expect(
      inAcme((client) => copyRows(client, 'loads', [[301, shop.acme, 'too long']], { columns })),
    ).rejects.toMatchObject({ code: '22001' });
    await expect(inAcme((client) => copyRows(client, 'loads', [[1], [2]], { columns }))).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
      message: expect.stringContaining('Row 1'),
    });
    await expect(inAcme((client) => copyRows(client, 'loads', [], { columns: ['nope'] }))).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
    await expect(inAcme((client) => copyRows(client, 'nowhere', []))).rejects.toMatchObject({
      code: 'TNT_TABLE_UNKNOWN',
    });
    await expect(
      inAcme((client) => copyRows(client, 'loads', [[() => 1, shop.acme, '']], { columns })),
    ).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    expect(await inAcme((client) => copyRows(client, 'loads', []))).toBe(0);
    expect(await inAcme((client) => copyRows(client, 'loads', [[401n, shop.acme, true]], { columns }))).toBe(1);
    const nested = [
      [
        402,
        shop.acme,
        [
          ['a', 'b'],
          ['c', null],
        ],
      ],
    ];
    await inAcme((client) => copyRows(client, 'loads', nested, { columns: ['id', 'tenant_id', 'tags'] }));
    expect(await shop.as(shop.acme, 'select tags from public.loads where id = 402')).toEqual([
      { tags: nested[0]?.[2] },
    ]);
  });

  it('splits as PostgreSQL does: octal, hex and unknown escapes, other delimiters, an unfinished quote', async () => {
    const all = async (source: string, format = {}) => {
      const rows: (string | null)[][] = [];
      for await (const row of readCopyRows([source], format)) rows.push(row);
      return rows;
    };
    expect(await all('\\101\\x42\\q\\b|x', { delimiter: '|' })).toEqual([['ABq\b', 'x']]);
    expect(await all('a;;"b"', { format: 'csv', delimiter: ';' })).toEqual([['a', null, 'b']]);
    expect(await all('')).toEqual([]);
    expect(await all('', { format: 'csv' })).toEqual([]);
    expect(await all('a,b', { format: 'csv', header: true })).toEqual([]);
    expect(await all('a\r\nb\r\n')).toEqual([['a'], ['b']]);
    await expect(all('"a', { format: 'csv' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
  });
});
