import { once } from 'node:events';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Cache } from 'drizzle-orm/cache/core';
import { pgTable, text, uuid } from 'drizzle-orm/pg-core';
import knexDefault from 'knex';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { DataSource, EntitySchema } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as drizzleAdapter from '../../src/adapters/drizzle.ts';
import { knexConfig } from '../../src/adapters/knex.ts';
import { kyselyConfig } from '../../src/adapters/kysely.ts';
import * as typeormAdapter from '../../src/adapters/typeorm.ts';
import { withSystem, withTenant } from '../../src/context/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { codesOf, failure } from './errors.ts';
import { createNotes, type Tenant } from './notes.ts';

const notes = pgTable('notes', { tenantId: uuid('tenant_id').notNull(), id: uuid().notNull(), body: text().notNull() });

/** A cache as Drizzle's documentation shows it. */
class MapCache extends Cache {
  readonly #rows = new Map<string, unknown[]>();
  override strategy(): 'all' {
    return 'all';
  }
  override async get(key: string): Promise<unknown[] | undefined> {
    return this.#rows.get(key);
  }
  override async put(key: string, rows: unknown[]): Promise<void> {
    this.#rows.set(key, rows);
  }
  override async onMutate({ tags = [] }: { tags?: string | string[] }): Promise<void> {
    for (const tag of [tags].flat()) this.#rows.delete(tag);
  }
}

/** What TypeORM's own caches do, in memory. */
class MapResultCache {
  readonly #results = new Map<string, object>();
  async connect(): Promise<void> {}
  async disconnect(): Promise<void> {}
  async synchronize(): Promise<void> {}
  async getFromCache({ identifier, query }: { identifier?: string; query?: string }): Promise<undefined> {
    return this.#results.get(identifier ?? query ?? '') as undefined;
  }
  async storeInCache(entry: { identifier?: string; query?: string }): Promise<void> {
    this.#results.set(entry.identifier ?? entry.query ?? '', entry);
  }
  isExpired(): boolean {
    return false;
  }
  async clear(): Promise<void> {
    this.#results.clear();
  }
  async remove(identifiers: string[]): Promise<void> {
    for (const identifier of identifiers) this.#results.delete(identifier);
  }
}

describe('D5 what ORMs do beside the pool', () => {
  let database: TestDatabase;
  let pool: TenantPool;
  let a: Tenant;
  let b: Tenant;
  const as = <T>({ tenantId }: Tenant, fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId }, fn);

  beforeAll(async () => {
    database = await createTestDatabase();
    [a, b] = (await createNotes(database, 2)) as [Tenant, Tenant];
    pool = createPool({ connectionString: database.appUrl, max: 2 });
    pool.on('error', () => {});
  });
  afterAll(async () => {
    await pool?.end();
    await database?.drop();
  });

  describe("Drizzle's query cache", () => {
    const seenByB = async (cache: Cache, tag?: string): Promise<string | undefined> => {
      const db = drizzle(pool, { cache });
      const query = () => {
        const all = db.select().from(notes);
        return tag === undefined ? all : all.$withCache({ tag });
      };
      await as(a, query);
      return (await as(b, query))[0]?.tenantId;
    };

    it('hands B the rows of A, as it is', async () => {
      expect(await seenByB(new MapCache())).toBe(a.tenantId);
      expect(await seenByB(new MapCache(), 'all-notes')).toBe(a.tenantId);
    });

    it('keeps its entries apart behind tenantCache', async () => {
      expect(await seenByB(drizzleAdapter.tenantCache(new MapCache()))).toBe(b.tenantId);
      expect(await seenByB(drizzleAdapter.tenantCache(new MapCache()), 'all-notes')).toBe(b.tenantId);
    });

    it('is used, invalidated by tag, and refused outside of a context', async () => {
      const cache = drizzleAdapter.tenantCache(new MapCache());
      const db = drizzle(pool, { cache });
      const read = () => as(a, () => db.select().from(notes).$withCache({ tag: 'notes' }));
      const before = await read();
      await database.query('update notes set body = $1 where tenant_id = $2', ['fresh', a.tenantId]);
      expect(await read()).toEqual(before);
      await as(b, () => cache.onMutate({ tags: 'notes' }));
      expect(await read()).toEqual(before);
      await as(a, () => cache.onMutate({ tags: ['notes'] }));
      expect((await read())[0]?.body).toBe('fresh');
      const outside = await failure(db.select().from(notes).$withCache({ tag: 'notes' }));
      expect(codesOf(outside)).toContain('TNT_CONTEXT_MISSING');
    });
  });

  it('Drizzle gives a connection back when its BEGIN fails, through drizzlePool', async () => {
    const narrow = createPool({ connectionString: database.appUrl, max: 1 });
    narrow.on('error', () => {});
    const db = drizzle(drizzleAdapter.drizzlePool(narrow));
    for (let round = 0; round < 3; round++) {
      // the connection is lost between the check-out and BEGIN
      narrow.once('acquire', (client) => {
        (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      });
      await failure(as(a, () => db.transaction((tx) => tx.select().from(notes))));
    }
    expect(await as(a, () => db.transaction((tx) => tx.select().from(notes)))).toHaveLength(a.noteIds.length);
    expect([narrow.totalCount, narrow.idleCount]).toEqual([1, 1]);
    await narrow.end();
  });

  it('Knex gives the connection of a stream back once: the second time it could be somebody else’s', async () => {
    const narrow = createPool({ connectionString: database.appUrl, max: 1 });
    const db = knexDefault.knex(knexConfig(narrow, { version: String(database.version) }));
    let released = 0;
    narrow.on('release', () => released++);
    const rows = await as(a, async () => {
      const stream = db('notes').stream();
      const closed = once(stream, 'close');
      const read: unknown[] = [];
      for await (const row of stream) read.push(row);
      await closed;
      return read;
    });
    expect(rows).toHaveLength(a.noteIds.length);
    await new Promise((done) => setImmediate(done));
    expect([released, narrow.idleCount]).toEqual([1, 1]);
    await db.destroy();
    await narrow.end();
  });

  describe("TypeORM's query result cache", () => {
    const entity = new EntitySchema<{ tenantId: string; id: string }>({
      name: 'Note',
      tableName: 'notes',
      columns: { tenantId: { type: 'uuid', name: 'tenant_id', primary: true }, id: { type: 'uuid', primary: true } },
    });
    const options = () => ({
      type: 'postgres' as const,
      driver: typeormAdapter.typeormDriver(pool),
      entities: [entity],
    });
    const seenByB = async (source: DataSource, id?: string): Promise<string | undefined> => {
      const read = () =>
        source.getRepository(entity).find({ cache: id === undefined ? true : { id, milliseconds: 60_000 } });
      await as(a, read);
      return (await as(b, read))[0]?.tenantId;
    };

    it('hands B the rows of A, as it is: and is refused', async () => {
      const source = new DataSource({ ...options(), cache: { provider: () => new MapResultCache() } });
      expect(codesOf(await failure(typeormAdapter.initializeDataSource(source)))).toContain('TNT_CONFIG_INVALID');
      await withSystem('around the adapter, to show what it is for', () => source.initialize());
      expect(await seenByB(source)).toBe(a.tenantId);
      await source.destroy();
    });

    it('keeps its entries apart behind tenantCache', async () => {
      const cache = typeormAdapter.tenantCache(() => new MapResultCache());
      const source = await typeormAdapter.initializeDataSource(new DataSource({ ...options(), cache }));
      expect(await seenByB(source)).toBe(b.tenantId);
      expect(await seenByB(source, 'all-notes')).toBe(b.tenantId);
      await as(a, () => source.queryResultCache?.remove(['all-notes']));
      expect(await seenByB(source, 'all-notes')).toBe(b.tenantId);
      await source.destroy();
    });
  });

  it('a connection that is lost while an ORM holds it, and runs nothing, does not end the process', async () => {
    const client = await pool.connect();
    const { rows } = await as(a, () => client.query<{ pid: number }>('select pg_backend_pid() as pid'));
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    const admin = new pg.Client({ connectionString: database.superuserUrl });
    await admin.connect();
    await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await admin.end();
    await ended;
    expect(await failure(as(a, () => client.query('select 1')))).toBeInstanceOf(Error);
    client.release();
    expect((await as(a, () => pool.query('select 1 as one'))).rows).toEqual([{ one: 1 }]);
  });

  it('every ORM leaves the pool open when it is closed', async () => {
    const kysely = new Kysely<object>({ dialect: new PostgresDialect(kyselyConfig(pool)) });
    await as(a, () => sql`select 1`.execute(kysely));
    await kysely.destroy();
    const source = await typeormAdapter.initializeDataSource(
      new DataSource({ type: 'postgres', driver: typeormAdapter.typeormDriver(pool) }),
    );
    await source.destroy();
    await knexDefault.knex(knexConfig(pool)).destroy();
    expect((await as(a, () => pool.query('select 1 as one'))).rows).toEqual([{ one: 1 }]);
  });
});
