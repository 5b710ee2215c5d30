import type { ListenClient } from '../database/listen.ts';
import type { Rate, RateLimiter } from '../metering/rate/types.ts';
import type { Pepper } from './pepper.ts';

export interface KeyCacheOptions {
  /** How old an answer may be, at the most: what bounds a revocation that nothing was heard of. Milliseconds, default 4,000, at most 5,000. */
  readonly maxAgeMs?: number;
  /** Keys kept. Default 10,000. */
  readonly maxKeys?: number;
  /** Names of keys that do not exist, kept. Default 2,000. */
  readonly maxUnknown?: number;
}

/** What counts; `t.rateLimits` fits. */
export type KeyRateLimiter = Pick<RateLimiter, 'take'>;

export interface KeysOptions {
  /**
   * The secrets under which keys are hashed, newest first; as text, `TENANTRY_KEY_PEPPER`'s form. Defaults to that
   * variable. Without one `t.keys` cannot be used.
   */
  readonly peppers?: readonly Pepper[] | string | undefined;
  /** false: each verification asks the database. */
  readonly cache?: KeyCacheOptions | false | undefined;
  /**
   * Opens the connection over which changes are heard; by default one like those of the pool. false: none, behind a
   * transaction pooler for example: a revocation then reaches other processes when the cache has aged.
   */
  readonly listen?: (() => Promise<ListenClient>) | false | undefined;
  /** Counts the keys' own limits and the failures. Defaults to this process's memory. */
  readonly limiter?: KeyRateLimiter | undefined;
  /**
   * How many wrong keys one address may send before it is turned away without a look-up. Default 30 a minute. Requests whose
   * address is not known are not counted.
   */
  readonly failures?: Rate | false | undefined;
  /** How often `lastUsedAt` is written. Milliseconds, default 60,000. */
  readonly lastUsedEveryMs?: number | undefined;
  /** Told of errors in work that nobody waits for. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export const longestAge = 5_000;
export const cacheDefaults = { maxAgeMs: 4_000, maxKeys: 10_000, maxUnknown: 2_000 };
export const failureDefault: Rate = { limit: 30, periodMs: 60_000 };
