import { type ClientLike, checkedOut } from './checked-out.ts';

interface PoolLike<C extends ClientLike> {
  connect(): Promise<C>;
  end(): Promise<void>;
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

export interface KnexConfig<C> {
  readonly client: 'pg';
  readonly connectionPool: {
    connect(): Promise<C>;
    end(): Promise<void>;
    readonly totalCount: number;
    readonly idleCount: number;
    readonly waitingCount: number;
  };
  readonly version?: string;
}

/**
 * Knex's configuration over a tenant pool; spread it and add your own options.
 *
 * Knex gives a streaming query's connection back twice, by which time it may be somebody else's: each check-out
 * here can be given back once. `timeout(ms, { cancel: true })` cannot cancel over a `connectionPool`: use the
 * server's `statement_timeout`.
 *
 * @param options.version the server's main version; without it Knex asks the server once more
 * @example
 * ```ts
 * import knex from 'knex';
 * import { knexConfig } from 'tenantry/knex';
 *
 * const db = knex({ ...knexConfig(pool, { version: '18' }), debug: true });
 * ```
 */
export function knexConfig<C extends ClientLike>(
  pool: PoolLike<C>,
  { version }: { readonly version?: string } = {},
): KnexConfig<C> {
  return {
    client: 'pg',
    connectionPool: {
      connect: async () => checkedOut(await pool.connect()),
      end: () => pool.end(),
      get totalCount() {
        return pool.totalCount;
      },
      get idleCount() {
        return pool.idleCount;
      },
      get waitingCount() {
        return pool.waitingCount;
      },
    },
    ...(version === undefined ? {} : { version }),
  };
}
