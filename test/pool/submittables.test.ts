import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { describe, expect, it } from 'vitest';
import { bindContext } from '../../src/context/index.ts';
import type { TenantPool } from '../../src/pool/index.ts';
import { asA, asB, count, poolFixture } from './fixture.ts';

const at = poolFixture();

async function onClient<T>(pool: TenantPool, fn: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await fn(client);
  } finally {
    client.release();
  }
}

const status = (client: pg.PoolClient): unknown => client.getTransactionStatus();

describe('D5 query objects of pg and its companions', () => {
  it('pg.Query: events, parameters, names, several statements', async () => {
    const run = (client: pg.PoolClient, query: pg.Query): Promise<unknown[]> =>
      new Promise((resolve, reject) => {
        const rows: unknown[] = [];
        client.query(query);
        query.on('row', (row) => rows.push(row));
        query.on('end', () => resolve(rows));
        query.on('error', reject);
      });
    await onClient(at.pool, async (client) => {
      for (const [as, n] of [
        [asA, 10],
        [asB, 5],
        [asA, 10],
      ] as const) {
        expect(await as(() => run(client, new pg.Query('select count(*)::int n from notes')))).toEqual([{ n }]);
        const config = { name: 'q', text: 'select count(*)::int n from notes where id > $1', values: [0] };
        expect(await as(() => run(client, new pg.Query(config)))).toEqual([{ n }]);
        expect(await as(() => run(client, new pg.Query('select 1 one; select count(*)::int n from notes')))).toEqual([
          { one: 1 },
          { n },
        ]);
      }
      await expect(asA(() => run(client, new pg.Query('select 1/0')))).rejects.toMatchObject({ code: '22012' });
      await expect(asA(() => run(client, new pg.Query({ name: 'q', text: 'select 2' })))).rejects.toThrow(
        'must be unique',
      );
      await expect(asA(() => run(client, new pg.Query({ text: 'select $1', values: 3 as never })))).rejects.toThrow(
        'must be an array',
      );
      await expect(run(client, new pg.Query('select body from notes'))).rejects.toMatchObject({
        code: 'TNT_CONTEXT_MISSING',
      });
      expect(await asB(() => count(client))).toBe(5);
    });
  });

  it('pg.Query through the pool keeps the context of the caller, not of whoever frees the client', async () => {
    const pool = at.open({ max: 1 });
    const holder = await pool.connect();
    const query = new pg.Query('select count(*)::int n from notes');
    const row = new Promise((resolve) => query.on('row', resolve));
    await asB(() => void pool.query(query));
    await asA(async () => holder.release());
    expect(await row).toEqual({ n: 5 });
  });

  it('the rows option pages through a portal', async () => {
    const rows = await asA(() => at.pool.query({ text: 'select id from notes order by id', rows: 3 } as never));
    expect((rows as pg.QueryResult).rows).toHaveLength(10);
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('pg-cursor: reads, early close, error, transaction', async () => {
    await onClient(at.pool, async (client) => {
      await asA(async () => {
        const cursor = client.query(new Cursor('select id from notes order by id'));
        expect(await cursor.read(3)).toHaveLength(3);
        expect(await cursor.read(100)).toHaveLength(7);
        await cursor.close();
        const early = client.query(new Cursor('select id from notes'));
        expect(await early.read(2)).toHaveLength(2);
        await early.close();
        const broken = client.query(new Cursor('select 1/0'));
        await expect(broken.read(1)).rejects.toMatchObject({ code: '22012' });
        await client.query('begin');
        const inside = client.query(new Cursor('select id from notes'));
        expect(await inside.read(100)).toHaveLength(10);
        await inside.close();
        await client.query('commit');
      });
      expect(status(client)).toBe('I');
      const other = await asB(async () => client.query(new Cursor('select id from notes')));
      expect(await other.read(100)).toHaveLength(5);
      await other.close();
      const without = client.query(new Cursor('select id from notes'));
      await expect(without.read(1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    });
  });

  it('pg-cursor calls back in the context of the caller', async () => {
    await onClient(at.pool, async (client) => {
      const nested = await asB(
        () =>
          new Promise((resolve) => {
            const cursor = client.query(new Cursor('select 1'));
            cursor.read(1, () => resolve(count(at.pool)));
          }),
      );
      expect(nested).toBe(5);
    });
  });

  it('pg-query-stream: to the end, and destroyed half-way', async () => {
    await onClient(at.pool, async (client) => {
      const ids: unknown[] = [];
      await asA(async () => {
        for await (const row of client.query(new QueryStream('select id from notes'))) ids.push(row);
      });
      expect(ids).toHaveLength(10);
      await asA(async () => {
        for await (const row of client.query(new QueryStream('select id from notes', [], { batchSize: 2 }))) {
          expect(row).toBeDefined();
          break;
        }
      });
      expect(await asB(() => count(client))).toBe(5);
    });
  });

  it('a listener of a stream has no context: its query is refused, unless it was bound', async () => {
    await onClient(at.pool, async (client) => {
      const outcome = (bind: boolean): Promise<unknown> =>
        asA(
          () =>
            new Promise((resolve) => {
              const listener = (): void => resolve(count(at.pool).catch((error: { code: string }) => error.code));
              client
                .query(new QueryStream('select id from notes limit 1'))
                .on('data', bind ? bindContext(listener) : listener);
            }),
        );
      const plain = await outcome(false);
      expect(['TNT_CONTEXT_MISSING', 10]).toContain(plain);
      expect(await outcome(true)).toBe(10);
    });
  });

  it('a client released with an open cursor is clean for the next tenant', async () => {
    const pool = at.open({ max: 1 });
    for (const query of [
      () => new Cursor('select id from notes'),
      () => new QueryStream('select id from notes', [], { highWaterMark: 1 }),
    ]) {
      await onClient(pool, async (client) => {
        const open = await asA(() => client.query(query() as Cursor));
        if (open instanceof Cursor) expect(await open.read(1)).toHaveLength(1);
        else (open as NodeJS.ReadableStream).read(1);
      });
      expect(await asB(() => count(pool))).toBe(5);
      expect(pool.totalCount).toBe(1);
    }
  });

  it('COPY … TO shows the tenant its rows and ends its transaction', async () => {
    await onClient(at.pool, async (client) => {
      for (const [as, n] of [
        [asA, 10],
        [asB, 5],
      ] as const) {
        const chunks: Buffer[] = [];
        await as(() =>
          pipeline(client.query(copyTo('copy (select body from notes) to stdout')), async (source) => {
            for await (const chunk of source) chunks.push(chunk as Buffer);
          }),
        );
        expect(Buffer.concat(chunks).toString().trim().split('\n')).toHaveLength(n);
        expect(await as(() => count(client))).toBe(n);
        expect(status(client)).toBe('I');
      }
      const broken = asA(() =>
        pipeline(client.query(copyTo('copy nowhere to stdout')), async (source) => {
          for await (const chunk of source) expect(chunk).toBeUndefined();
        }),
      );
      await expect(broken).rejects.toMatchObject({ code: '42P01' });
      expect(await asB(() => count(client))).toBe(5);
      expect(status(client)).toBe('I');
    });
  });

  it('COPY … FROM into an own table; into a protected one the server refuses it, and nothing is left open', async () => {
    const pool = at.open({ max: 1 });
    await onClient(pool, async (client) => {
      await asA(async () => {
        await client.query('create temporary table staging (body text)');
        await pipeline(Readable.from(['one\n', 'two\n']), client.query(copyFrom('copy staging from stdin')));
        // told after its commit: another statement sees it
        expect((await client.query('select count(*)::int n from staging')).rows).toEqual([{ n: 2 }]);
        await client.query('begin');
        await pipeline(Readable.from(['three\n']), client.query(copyFrom('copy staging from stdin')));
        const inserted = await client.query('insert into notes (body) select body from staging');
        expect(inserted.rowCount).toBe(3);
        expect(await count(client)).toBe(13);
        await client.query('rollback');
        const refused = pipeline(Readable.from(['x\n']), client.query(copyFrom('copy notes (body) from stdin')));
        await expect(refused).rejects.toMatchObject({ code: '0A000' });
        await client.query('select 1');
        expect(status(client)).toBe('I');
        expect(await count(client)).toBe(10);
      });
      await expect(asB(() => client.query('copy staging from stdin'))).rejects.toMatchObject({
        code: 'TNT_QUERY_UNSUPPORTED',
      });
      await asB(async () => {
        await client.query('begin');
        await count(client);
      });
      const changed = asA(() => pipeline(Readable.from(['x\n']), client.query(copyFrom('copy staging from stdin'))));
      await expect(changed).rejects.toMatchObject({ code: 'TNT_CONTEXT_CHANGED' });
      await client.query('rollback');
      expect(await asB(() => count(client))).toBe(5);
    });
  });

  it('COPY as plain text runs too', async () => {
    const copied = await asB(() => at.pool.query('copy notes to stdout'));
    expect([copied.command, copied.rowCount]).toEqual(['COPY', 5]);
    expect(await asA(() => count(at.pool))).toBe(10);
  });
});
