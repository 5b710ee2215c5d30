import type { KeyRate } from './entry.ts';

/** What a limiter decided about one request; the tightest of its rates. */
export interface RateDecision {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
}

/** What keys need of a rate limiter; `t.rateLimits` fits. */
export interface KeyRateLimiter {
  take(
    requests: readonly { readonly key: string; readonly rate: KeyRate; readonly cost?: number }[],
  ): Promise<RateDecision>;
}

const mostKeys = 10_000;

/**
 * GCRA in this process alone: one moment per key, exact. For throttling where no other limiter is given.
 * Keys whose allowance is whole again are forgotten first; beyond 10,000 the oldest.
 */
export function localRateLimiter(now: () => number = () => performance.now()): KeyRateLimiter {
  const due = new Map<string, number>();
  const makeRoom = (at: number): void => {
    for (const [key, moment] of due) if (moment <= at) due.delete(key);
    for (const key of due.keys()) {
      if (due.size < mostKeys) return;
      due.delete(key);
    }
  };
  const one = (key: string, { limit, periodMs, burst = limit }: KeyRate, cost: number): RateDecision => {
    const at = now();
    const step = periodMs / limit;
    const full = step * burst;
    const next = Math.max(due.get(key) ?? at, at) + step * cost;
    const allowed = next - at <= full;
    if (allowed) {
      if (due.size >= mostKeys && !due.has(key)) makeRoom(at);
      due.set(key, next);
    }
    const used = (allowed ? next : next - step * cost) - at;
    return {
      allowed,
      limit,
      remaining: Math.max(0, Math.floor((full - used) / step)),
      resetMs: Math.ceil(used),
      retryAfterMs: allowed ? 0 : Math.ceil(next - full - at),
    };
  };
  return {
    // one rate at a time is all that is asked of it here
    async take([request]) {
      if (request === undefined) return { allowed: true, limit: 0, remaining: 0, resetMs: 0, retryAfterMs: 0 };
      return one(request.key, request.rate, request.cost ?? 1);
    },
  };
}
