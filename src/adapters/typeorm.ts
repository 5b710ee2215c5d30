import { withSystem } from '../context/index.ts';

type Connected<C> = (error: Error | undefined, client: C | undefined, release: (error?: unknown) => void) => void;

interface PoolLike<C> {
  connect(callback: Connected<C>): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

interface DataSourceLike {
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

/** Initializes a DataSource: its start-up statements belong to no tenant. */
export async function initializeDataSource<D extends DataSourceLike>(source: D): Promise<D> {
  await withSystem('TypeORM starts', () => source.initialize());
  return source;
}
