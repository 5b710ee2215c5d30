import pg from 'pg';
import type { ListenClient } from '../database/listen.ts';

interface PoolLike {
  readonly options?: unknown;
  readonly settings?: unknown;
}

/**
 * How to open a connection like those of a pool, beside it. False where that cannot be told, or where a pooler would hand
 * it to somebody else after each transaction.
 */
export function ownConnection(pool: object): (() => Promise<ListenClient>) | false {
  const { options, settings } = pool as PoolLike;
  if (typeof options !== 'object' || options === null) return false;
  if ((settings as { prepares?: boolean } | undefined)?.prepares === false) return false;
  return async () => {
    // pg hides the password of a pool's options from being listed
    const { password } = options as { password?: string };
    const client = new pg.Client({
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      ...options,
      ...(password === undefined ? {} : { password }),
      application_name: 'tenantry keys',
    });
    await client.connect();
    // nothing waits for it: it keeps no process alive
    (client as unknown as { connection?: { stream?: { unref?(): void } } }).connection?.stream?.unref?.();
    return client;
  };
}
