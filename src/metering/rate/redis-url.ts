import { loadOptional } from '../../database/optional.ts';
import { createRedisRateLimiter, type RedisLike } from './redis.ts';
import type { RateLimiter } from './types.ts';

interface Client extends RedisLike {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
}

type Redis = { createClient(options: object): unknown };

/** A limiter whose connection is opened at its first use, and comes back by itself. The package `redis` is loaded then. */
export function openRedisRateLimiter(url: string): RateLimiter & { close(): Promise<void> } {
  let client: Client | undefined;
  let opened: Promise<RateLimiter> | undefined;
  const open = async (): Promise<RateLimiter> => {
    const { createClient } = await loadOptional(async () => (await import('redis')) as Redis, 'redis');
    // without a queue: a request is told at once that there is no server, and does not wait for one
    client = createClient({ url, disableOfflineQueue: true }) as Client;
    client.on('error', () => {}); // each command tells
    const limiter = createRedisRateLimiter(client);
    await client.connect();
    return limiter;
  };
  const limiter = (): Promise<RateLimiter> => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  return {
    take: async (requests) => (await limiter()).take(requests),
    forget: async (keys) => (await limiter()).forget(keys),
    async close() {
      opened?.catch(() => undefined); // a connection that never came ends here
      client?.destroy();
      client = undefined;
      opened = undefined;
    },
  };
}
