import pg from 'pg';
import type { ListenClient } from '../database/listen.ts';

const connectWithinMs = 5_000;

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
    const { password, connectionTimeoutMillis } = options as pg.ClientConfig;
    const client = new pg.Client({
      ...options,
      ...(password === undefined ? {} : { password }),
      connectionTimeoutMillis: connectionTimeoutMillis || connectWithinMs,
      keepAlive: true,
      application_name: 'tenantry keys',
    });
    await client.connect();
    // nothing waits for it: it keeps no process alive
    (client as unknown as { connection?: { stream?: { unref?(): void } } }).connection?.stream?.unref?.();
    return client;
  };
}
