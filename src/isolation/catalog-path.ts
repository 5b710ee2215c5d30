import type { PoolLike } from '../database/kernel.ts';
import type { Queryable } from '../database/sql.ts';

/**
 * Reads on one connection with nothing but the server's own names in reach, and writes nothing: what the catalogue
 * prints then does not depend on the login's search_path.
 */
export async function withCatalogPath<T>(pool: PoolLike, fn: (tx: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: boolean | Error = true;
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    await client.query('set local search_path = pg_catalog, pg_temp');
    const result = await fn(client);
    await client.query('rollback');
    broken = false;
    return result;
  } finally {
    client.release(broken); // after an error the connection is in an unknown state: it goes
  }
}
