export { createFlexibleRateLimiter, type FlexibleLimiterLike, type FlexibleRate } from './flexible.ts';
export { type GuardedRateLimiter, type GuardOptions, guardRateLimiter, type WhenUnavailable } from './guard.ts';
export { createMemoryRateLimiter, type MemoryRateLimiterOptions } from './memory.ts';
export { createPostgresRateLimiter, type PostgresRateLimiterOptions } from './postgres.ts';
export {
  type Admission,
  type AdmitOptions,
  createRateLimits,
  type RateClass,
  type RateLimits,
  type RateLimitsOptions,
} from './rate-limits.ts';
export { createRedisRateLimiter, type RedisLike, type RedisRateLimiterOptions } from './redis.ts';
export type { Rate, RateDecision, RateLimiter, RateRequest, RateState } from './types.ts';
