import { type Cell, cellOf, cellsOf, decisionOf, decisionOfOne, isAllowed } from './gcra.ts';
import type { RateDecision, RateLimiter, RateRequest } from './types.ts';

export interface MemoryRateLimiterOptions {
  /** Keys that are kept at most; beyond, those nearest to rest go first. Defaults to 100,000. */
  readonly maxKeys?: number;
  /** Milliseconds that only go forward. Defaults to performance.now. */
  readonly now?: () => number;
}

/**
 * GCRA in this process: exact, and each process counts for itself. Over n processes up to n times the limit passes.
 *
 * @example
 * ```ts
 * const limiter = createMemoryRateLimiter();
 * const { allowed, retryAfterMs } = await limiter.take([{ key: 'login/203.0.113.7', rate: { limit: 5, periodMs: 60_000 } }]);
 * ```
 */
export function createMemoryRateLimiter(options: MemoryRateLimiterOptions = {}): RateLimiter {
  const { maxKeys = 100_000, now = () => performance.now() } = options;
  const arrivals = new Map<string, number>();
  let sweep = arrivals.entries();

  /** A few steps per new key keep the map clean without a timer. */
  function makeRoom(at: number): void {
    for (let step = 0; step < 3; step++) {
      const next = sweep.next();
      if (next.done === true) sweep = arrivals.entries();
      else if (next.value[1] <= at) arrivals.delete(next.value[0]);
    }
    while (arrivals.size >= maxKeys) {
      // of a few, the one nearest to rest: a flood of new keys does not free those that are at their limit
      let idle: string | undefined;
      let least = Infinity;
      for (let i = 0; i < 8; i++) {
        let next = sweep.next();
        if (next.done === true) {
          sweep = arrivals.entries();
          next = sweep.next();
        }
        if (next.done !== true && next.value[1] < least) [idle, least] = next.value;
      }
      if (idle === undefined) return;
      arrivals.delete(idle);
    }
  }

  const aheadOf = ({ key }: Cell, at: number): number => Math.max((arrivals.get(key) ?? 0) - at, 0);

  /** Most requests have one limit. */
  function takeOne(request: RateRequest): RateDecision {
    const cell = cellOf(request);
    const at = now();
    const known = arrivals.get(cell.key);
    const ahead = known === undefined || known < at ? 0 : known - at;
    if (!isAllowed(cell, ahead)) return decisionOfOne(cell, ahead, false);
    if (cell.cost === 0) return decisionOfOne(cell, ahead, true);
    const next = ahead + cell.cost * cell.step;
    if (known === undefined) makeRoom(at);
    arrivals.set(cell.key, at + next);
    return decisionOfOne(cell, next, true);
  }

  return {
    async take(requests) {
      const [only] = requests;
      if (only !== undefined && requests.length === 1) return takeOne(only);
      const cells = cellsOf(requests);
      const at = now();
      const ahead = cells.map((cell) => aheadOf(cell, at));
      const taken = cells.every((cell, i) => isAllowed(cell, ahead[i] ?? 0));
      if (taken) {
        for (const [i, { key, step, cost }] of cells.entries()) {
          if (cost === 0) continue;
          const next = (ahead[i] ?? 0) + cost * step;
          ahead[i] = next;
          if (!arrivals.has(key)) makeRoom(at);
          arrivals.set(key, at + next);
        }
      }
      return decisionOf(cells, ahead, taken);
    },
    async forget(keys) {
      for (const key of keys) arrivals.delete(key);
    },
  };
}
