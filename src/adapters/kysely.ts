/** What Kysely's PostgresDialect takes as its pool. */
interface PoolLike<C> {
  connect(): Promise<C>;
}

export interface KyselyConfig<C, Cursor> {
  readonly pool: { connect(): Promise<C>; end(): Promise<void> };
  readonly cursor?: Cursor;
}

/**
 * The configuration of Kysely's own PostgresDialect over a tenant pool. `db.destroy()` leaves the pool open: it is
 * the application's, and other parts of it may use it.
 *
 * @param options.cursor the class of `pg-cursor`, for `.stream()`
 * @example
 * ```ts
 * import { Kysely, PostgresDialect } from 'kysely';
 * import { createPool } from 'tenantry';
 * import { kyselyConfig } from 'tenantry/kysely';
 *
 * const db = new Kysely<Schema>({ dialect: new PostgresDialect(kyselyConfig(createPool({ connectionString }))) });
 * ```
 */
export function kyselyConfig<C, Cursor = never>(
  pool: PoolLike<C>,
  { cursor }: { readonly cursor?: Cursor } = {},
): KyselyConfig<C, Cursor> {
  return {
    pool: { connect: () => pool.connect(), end: async () => {} },
    ...(cursor === undefined ? {} : { cursor }),
  };
}
