import { type ClientLike, checkedOut, substitute } from './checked-out.ts';
import { contextKey } from './context-key.ts';

interface PoolLike {
  connect(...args: never[]): unknown;
}

interface QueryingClient extends ClientLike {
  query(...args: unknown[]): Promise<unknown>;
}

/**
 * The pool for `drizzle(…)`. A tenant pool may be given to Drizzle as it is; this closes a hole of Drizzle's: when its
 * BEGIN fails (a cancel, a lost connection) it never gives the connection back, until none is left.
 *
 * @example
 * ```ts
 * import { drizzle } from 'drizzle-orm/node-postgres';
 * import { drizzlePool } from 'tenantry/drizzle';
 *
 * const db = drizzle(drizzlePool(pool), { schema });
 * ```
 */
export function drizzlePool<P extends PoolLike>(pool: P): P {
  const connect = async (): Promise<QueryingClient> => {
    const client = (await pool.connect()) as QueryingClient;
    return checkedOut(client, (release) => ({
      async query(...args: unknown[]) {
        try {
          return await client.query(...args);
        } catch (error) {
          if (beginsTransaction(args[0])) release(error as Error);
          throw error;
        }
      },
    }));
  };
  return substitute(pool, { connect } as Partial<P>);
}

function beginsTransaction(query: unknown): boolean {
  return typeof query === 'object' && query !== null && 'text' in query && String(query.text).startsWith('begin');
}

interface CacheLike {
  get(key: string, tables: string[], isTag: boolean, isAutoInvalidate?: boolean): Promise<unknown[] | undefined>;
  put(key: string, response: never, tables: string[], isTag: boolean, config?: never): Promise<void>;
  onMutate(mutation: { tags?: string | string[] }): Promise<void>;
}

/**
 * Keeps the entries of Drizzle's query cache apart by tenant and user. Drizzle's key is the statement and its
 * parameters, which are the same for every tenant: a cache without this hands one tenant's rows to the next.
 *
 * @throws TNT_CONTEXT_MISSING from the query, outside of any context
 * @example
 * ```ts
 * const db = drizzle(drizzlePool(pool), { cache: tenantCache(upstashCache({ global: true })) });
 * ```
 */
export function tenantCache<C extends CacheLike>(cache: C): C {
  const own = (tag: string): string => `${contextKey()}:${tag}`;
  return substitute<CacheLike>(cache, {
    get: (key, ...rest) => cache.get(own(key), ...rest),
    put: (key, ...rest) => cache.put(own(key), ...rest),
    onMutate: ({ tags, ...mutation }) =>
      cache.onMutate(tags === undefined ? mutation : { ...mutation, tags: [tags].flat().map(own) }),
  }) as C;
}
