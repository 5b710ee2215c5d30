/** So many requests in so long. */
export interface Rate {
  /** Requests per period. */
  readonly limit: number;
  /** Milliseconds. */
  readonly periodMs: number;
  /** How many may come at once after a quiet time. Defaults to `limit`. */
  readonly burst?: number | undefined;
}

export interface RateRequest {
  /** What is counted: at most 512 characters. The part before the first `/` keeps keys on one shard of a Redis cluster. */
  readonly key: string;
  readonly rate: Rate;
  /** Defaults to 1; 0 only looks. */
  readonly cost?: number | undefined;
}

/** How one limit stands after a decision. */
export interface RateState {
  readonly key: string;
  readonly rate: Rate;
  /** Whether this limit by itself would have allowed it. */
  readonly allowed: boolean;
  readonly limit: number;
  /** Whole requests that could follow at once. */
  readonly remaining: number;
  /** Milliseconds until all of the burst is there again. */
  readonly resetMs: number;
  /** Milliseconds after which the same request can succeed; 0 when it was allowed. */
  readonly retryAfterMs: number;
}

/** A decision about all limits of a request: the tightest of them, and each. */
export interface RateDecision extends RateState {
  readonly states: readonly RateState[];
}

/** Decides at once over all limits of a request: taken from each, or from none. */
export interface RateLimiter {
  /** @throws TNT_INPUT_INVALID for a rate or key that cannot be, TNT_RATE_STORE_UNAVAILABLE */
  take(requests: readonly RateRequest[]): Promise<RateDecision>;
  /** Starts these keys afresh. */
  forget(keys: readonly string[]): Promise<void>;
}
