import { sqlStateOf, translateDatabaseError } from '../database/database-error.ts';
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
    if (error instanceof ListenerError) throw error.cause;
    const told = translateDatabaseError(error);
    if (!(told instanceof TenantryError)) throw told;
    const { code, message, details } = told;
    if (sqlStateOf(error) === '42501') throw new TenantryError(code, message, { cause: error, hint: whoAdopts });
    // steps before this one are done, and stay so
    if (code === 'TNT_LOCK_TIMEOUT')
      throw new TenantryError(code, message, { details, cause: told.cause, hint: inTheWay });
    throw told;
  }
}

const inTheWay = 'What is done is kept. When the named sessions are gone, repeat the command.';
const whoAdopts =
  'The login that adopts is a member of tenantry_owner and of whoever owns the tables: grant those roles to it, or connect as one that has them.';
