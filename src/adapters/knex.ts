import { type ClientLike, checkedOut, substitute } from './checked-out.ts';

interface PoolLike {
  connect(...args: never[]): unknown;
}

export interface KnexConfig<P> {
  readonly client: 'pg';
  readonly connectionPool: P;
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
export function knexConfig<P extends PoolLike>(
  pool: P,
  { version }: { readonly version?: string } = {},
): KnexConfig<P> {
  const connect = async (): Promise<ClientLike> => checkedOut((await pool.connect()) as ClientLike);
  return {
    client: 'pg',
    connectionPool: substitute(pool, { connect } as Partial<P>),
    ...(version === undefined ? {} : { version }),
  };
}
