import { createHash } from 'node:crypto';
import { type Cell, cellsOf, decisionOf } from './gcra.ts';
import type { RateLimiter } from './types.ts';

/** The part of a Redis client that is needed. node-redis fits as it is; of ioredis hand in `{ sendCommand: ([name, ...args]) => redis.call(name, ...args) }`. */
export interface RedisLike {
  sendCommand(args: string[]): Promise<unknown>;
}

export interface RedisRateLimiterOptions {
  /** In front of every key. Defaults to `tenantry:rate:`. */
  readonly prefix?: string;
}

// Redis 5 or later; by the server's clock, so that the nodes' clocks do not matter.
const script = `
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1767225600) * 1000 + tonumber(time[2]) / 1000
local ahead, ok = {}, 1
for i = 1, #KEYS do
  local step, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  ahead[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or '0') - now, 0)
  if ahead[i] + cost * step > (burst + 0.01) * step then ok = 0 end
end
for i = 1, #KEYS do
  local step, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i])
  if ok == 1 and cost > 0 then
    ahead[i] = ahead[i] + cost * step
    redis.call('SET', KEYS[i], string.format('%.4f', now + ahead[i]), 'PX', math.ceil(ahead[i]) + 1)
  end
  ahead[i] = string.format('%.4f', ahead[i])
end
return { ok, ahead }`;
const digest = createHash('sha1').update(script).digest('hex');

/**
 * GCRA in Redis: one script per decision, exact over any number of nodes; states end by themselves.
 *
 * @example
 * ```ts
 * import { createClient } from 'redis';
 *
 * const client = await createClient({ url: process.env.REDIS_URL }).connect();
 * const limiter = createRedisRateLimiter(client);
 * ```
 */
export function createRedisRateLimiter(client: RedisLike, options: RedisRateLimiterOptions = {}): RateLimiter {
  const { prefix = 'tenantry:rate:' } = options;
  const redisKey = (key: string): string => {
    const slash = key.indexOf('/');
    return slash <= 0 ? `${prefix}{${key}}` : `${prefix}{${key.slice(0, slash)}}${key.slice(slash)}`;
  };
  return {
    async take(requests) {
      const cells = cellsOf(requests);
      const answer = await evaluate(client, [
        String(cells.length),
        ...cells.map(({ key }) => redisKey(key)),
        ...cells.flatMap(({ step, burst, cost }: Cell) => [step, burst, cost].map(String)),
      ]);
      const [ok, ahead] = answer as [number, string[]];
      return decisionOf(cells, ahead.map(Number), ok === 1);
    },
    async forget(keys) {
      for (const key of keys) await client.sendCommand(['DEL', redisKey(key)]);
    },
  };
}

async function evaluate(client: RedisLike, args: string[]): Promise<unknown> {
  try {
    return await client.sendCommand(['EVALSHA', digest, ...args]);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.sendCommand(['EVAL', script, ...args]);
  }
}
