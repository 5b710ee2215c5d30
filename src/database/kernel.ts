import { type Queryable, type Row, renderSchema } from './sql.ts';

/** How Tenantry's own services reach their tables: SQL in, rows out, in the schema that was configured. */
export interface Kernel {
  /** The schema of Tenantry's tables; `tenantry` unless configured. */
  readonly schema: string;
  /** Runs one statement written with the schema `tenantry.` and returns its rows. */
  query<R extends Row = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Runs `fn` in one transaction; inside a transaction, in a savepoint. An error rolls back and is thrown on. */
  transaction<T>(fn: (tx: Kernel) => Promise<T>): Promise<T>;
}

/** A connection taken from a pool. */
export interface ClientLike extends Queryable {
  release(destroy?: boolean | Error): void;
}

/** The part of a `pg` pool that a kernel needs. */
export interface PoolLike extends Queryable {
  connect(): Promise<ClientLike>;
}

/** Builds the kernel over a pool. With a {@link TenantPool} each query carries its context; with a plain pool none does. */
export function createKernel(pool: PoolLike, schema = 'tenantry'): Kernel {
  return {
    schema,
    query: queryOn(pool, schema),
    async transaction(fn) {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query('begin');
        const result = await fn(kernelInTransaction(client, schema, 1));
        await client.query('commit');
        return result;
      } catch (error) {
        await client.query('rollback').catch((lost: Error) => {
          broken = lost;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
  };
}

/** A kernel over one connection that is already inside a transaction; nested transactions become savepoints. */
export function kernelInTransaction(client: Queryable, schema = 'tenantry', depth = 1): Kernel {
  return {
    schema,
    query: queryOn(client, schema),
    async transaction(fn) {
      const savepoint = `tenantry_${depth}`;
      await client.query(`savepoint ${savepoint}`);
      try {
        const result = await fn(kernelInTransaction(client, schema, depth + 1));
        await client.query(`release savepoint ${savepoint}`);
        return result;
      } catch (error) {
        await client.query(`rollback to savepoint ${savepoint}`);
        throw error;
      }
    },
  };
}

function queryOn(target: Queryable, schema: string): Kernel['query'] {
  const rendered = new Map<string, string>();
  const render = (text: string): string => {
    if (schema === 'tenantry') return text;
    let known = rendered.get(text);
    if (known === undefined) {
      known = renderSchema(text, schema);
      if (rendered.size > 1000) rendered.clear();
      rendered.set(text, known);
    }
    return known;
  };
  return async <R extends Row>(text: string, values?: readonly unknown[]) =>
    (await target.query<R>(render(text), values)).rows;
}
