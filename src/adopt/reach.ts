import { translateDatabaseError } from '../database/database-error.ts';
import type { PoolLike } from '../database/kernel.ts';
import type { Queryable } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { ListenerError } from './run/events.ts';

const fewestConnections = 4;

/** The lease, the work, its time-outs' observer and a look aside: with fewer a run would wait for itself. */
export function requireConnections(pool: PoolLike & { readonly options?: { readonly max?: number } }): void {
  const max = pool.options?.max;
  if (max === undefined || max >= fewestConnections) return;
  throw new TenantryError(
    'TNT_CONFIG_INVALID',
    `Adoption needs a pool of at least ${fewestConnections} connections; adminPool has max ${max}.`,
  );
}

/** One consistent look at the catalogue and the data, with nothing but the server's own names in reach. */
export async function reading<T>(pool: PoolLike, fn: (db: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    await client.query('set local search_path = pg_catalog, pg_temp');
    const result = await fn(client);
    broken = false;
    return result;
  } catch (error) {
    if (error instanceof TenantryError) broken = false;
    throw error;
  } finally {
    await client.query('rollback').catch(() => undefined);
    client.release(broken);
  }
}

export async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof ListenerError ? error.cause : translateDatabaseError(error);
  }
}
