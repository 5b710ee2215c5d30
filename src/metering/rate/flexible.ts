import { TenantryError } from '../../errors.ts';
import { cellsOf } from './gcra.ts';
import type { RateDecision, RateLimiter, RateState } from './types.ts';

/** What rate-limiter-flexible answers, also where it refuses: it then rejects with it. */
interface FlexibleResult {
  readonly msBeforeNext: number;
  readonly remainingPoints: number;
}

/** A limiter of rate-limiter-flexible, whatever its store. */
export interface FlexibleLimiterLike {
  consume(key: string, points: number): Promise<FlexibleResult>;
  reward(key: string, points: number): Promise<FlexibleResult>;
  get(key: string): Promise<FlexibleResult | null>;
  delete(key: string): Promise<boolean>;
}

/** What a limiter is made for: `points` per `duration` seconds. */
export interface FlexibleRate {
  readonly points: number;
  readonly duration: number;
}

/**
 * The stores of rate-limiter-flexible (Memcached, MongoDB, DynamoDB, MySQL, the workers of one `cluster`, …) as a limiter of
 * ours. Its windows are fixed: up to twice the limit passes around their edge, and there is no burst of its own. Several
 * limits are taken one after another and given back when a later one refuses, so others may be refused meanwhile.
 *
 * @example
 * ```ts
 * import { RateLimiterMemcache } from 'rate-limiter-flexible';
 *
 * const limiter = createFlexibleRateLimiter((rate) => new RateLimiterMemcache({ storeClient: memcached, ...rate }));
 * ```
 */
export function createFlexibleRateLimiter(make: (rate: FlexibleRate) => FlexibleLimiterLike): RateLimiter {
  const limiters = new Map<string, FlexibleLimiterLike>();
  const limiterFor = (limit: number, periodMs: number): FlexibleLimiterLike => {
    const name = `${limit}/${periodMs}`;
    let limiter = limiters.get(name);
    if (limiter === undefined) limiters.set(name, (limiter = make({ points: limit, duration: periodMs / 1000 })));
    return limiter;
  };
  return {
    async take(requests) {
      const taken: (() => Promise<unknown>)[] = [];
      const states: RateState[] = [];
      for (const { key, request, cost } of cellsOf(requests)) {
        const { limit, periodMs, burst } = request.rate;
        if (burst !== undefined && burst !== limit) {
          throw new TenantryError(
            'TNT_INPUT_INVALID',
            'rate.burst: rate-limiter-flexible has no burst beside its limit.',
          );
        }
        const limiter = limiterFor(limit, periodMs);
        let allowed = true;
        let result: FlexibleResult | null;
        if (cost === 0) result = await limiter.get(key);
        else {
          try {
            result = await limiter.consume(key, cost);
            taken.push(() => limiter.reward(key, cost));
          } catch (refusal) {
            if (refusal instanceof Error || !isResult(refusal)) throw refusal;
            allowed = false;
            result = refusal;
          }
        }
        const { msBeforeNext = 0, remainingPoints = limit } = result ?? {};
        const retryAfterMs = allowed ? 0 : Math.ceil(msBeforeNext);
        const remaining = Math.max(0, remainingPoints);
        states.push({
          key,
          rate: request.rate,
          allowed,
          limit,
          remaining,
          resetMs: Math.ceil(msBeforeNext),
          retryAfterMs,
        });
        if (!allowed) break;
      }
      const refused = states.find(({ allowed }) => !allowed);
      if (refused !== undefined) await Promise.all(taken.map((giveBack) => giveBack()));
      const tightest = refused ?? states.reduce((a, b) => (b.remaining < a.remaining ? b : a));
      return { ...tightest, states } satisfies RateDecision;
    },
    async forget(keys) {
      await Promise.all([...limiters.values()].flatMap((limiter) => keys.map((key) => limiter.delete(key))));
    },
  };
}

const isResult = (value: unknown): value is FlexibleResult =>
  typeof value === 'object' && value !== null && 'msBeforeNext' in value;
