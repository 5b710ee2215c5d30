import { withSystem } from '../context/index.ts';
import { TenantryError } from '../errors.ts';
import { substitute } from './checked-out.ts';
import { contextKey } from './context-key.ts';

type Connected<C> = (error: Error | undefined, client: C | undefined, release: (error?: unknown) => void) => void;

interface PoolLike<C> {
  connect(callback: Connected<C>): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

interface DataSourceLike {
  readonly options: { readonly cache?: unknown };
  initialize(): Promise<unknown>;
}

/**
 * The `driver` option of a TypeORM DataSource: its connections come from a tenant pool. `destroy()` leaves the pool
 * open: it is the application's.
 *
 * @example
 * ```ts
 * import { DataSource } from 'typeorm';
 * import { initializeDataSource, typeormDriver } from 'tenantry/typeorm';
 *
 * const source = await initializeDataSource(new DataSource({ type: 'postgres', driver: typeormDriver(pool), entities }));
 * ```
 */
export function typeormDriver<C>(pool: PoolLike<C>): { readonly Pool: new () => unknown } {
  const borrowed = {
    connect: (callback: Connected<C>) => pool.connect(callback),
    on: (event: 'error', listener: (error: Error) => void) => pool.on(event, listener),
    end: (callback: () => void) => callback(),
  };
  // a constructor that returns an object gives that object: TypeORM calls `new driver.Pool(options)`
  function Pool(): unknown {
    return borrowed;
  }
  return { Pool: Pool as unknown as new () => unknown };
}

/**
 * Initializes a DataSource: its start-up statements belong to no tenant.
 *
 * @throws TNT_CONFIG_INVALID when it has a query result cache without `tenantCache`
 */
export async function initializeDataSource<D extends DataSourceLike>(source: D): Promise<D> {
  const { cache } = source.options;
  if (cache && !isTenantCache(cache)) {
    throw new TenantryError('TNT_CONFIG_INVALID', 'cache: TypeORM would hand one tenant the cached rows of another.', {
      hint: 'Wrap it: cache: tenantCache((source) => yourCache), of tenantry/typeorm.',
    });
  }
  await withSystem('TypeORM starts', () => source.initialize());
  return source;
}

interface CacheKey {
  readonly identifier?: string;
  readonly query?: string;
}

interface CacheLike {
  getFromCache(key: CacheKey, ...rest: never[]): Promise<unknown>;
  storeInCache(key: CacheKey, ...rest: never[]): Promise<void>;
  remove(identifiers: string[], ...rest: never[]): Promise<void>;
}

const providers = new WeakSet<object>();

function isTenantCache(cache: unknown): boolean {
  const provider = typeof cache === 'object' && cache !== null && 'provider' in cache ? cache.provider : undefined;
  return typeof provider === 'function' && providers.has(provider);
}

/**
 * The `cache` option of a DataSource, its entries kept apart by tenant and user. TypeORM's own key is the statement and
 * its parameters, which are the same for every tenant.
 *
 * @example
 * ```ts
 * new DataSource({ type: 'postgres', driver: typeormDriver(pool), cache: tenantCache(() => new RedisResultCache(redis)) });
 * ```
 */
export function tenantCache<C extends CacheLike, S>(create: (source: S) => C): { readonly provider: (source: S) => C } {
  const provider = (source: S): C => {
    const cache = create(source);
    const own = ({ identifier, query, ...rest }: CacheKey): CacheKey => ({
      ...rest,
      ...(identifier === undefined ? {} : { identifier: ownText(identifier) }),
      ...(query === undefined ? {} : { query: ownText(query) }),
    });
    return substitute<CacheLike>(cache, {
      getFromCache: (key, ...rest) => cache.getFromCache(own(key), ...rest),
      storeInCache: (key, ...rest) => cache.storeInCache(own(key), ...rest),
      remove: (identifiers, ...rest) => cache.remove(identifiers.map(ownText), ...rest),
    }) as C;
  };
  providers.add(provider);
  return { provider };
}

const ownText = (text: string): string => `${contextKey()}:${text}`;
