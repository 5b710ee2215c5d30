import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, TenantryError } from '../../errors.ts';
import { cellsOf, decisionOf } from './gcra.ts';
import { createMemoryRateLimiter } from './memory.ts';
import type { RateDecision, RateLimiter, RateRequest } from './types.ts';

/** What a limit does while its store cannot be reached: count in this process, let everything pass, or refuse. */
export type WhenUnavailable = 'memory' | 'allow' | 'refuse';

export interface GuardOptions {
  /** How long the store may take, in milliseconds. Defaults to 500. */
  readonly timeoutMs?: number;
  /** After a failure the store is left alone for so long, in milliseconds. Defaults to 1000. */
  readonly coolDownMs?: number;
  /** Told of each failure of the store. */
  readonly onUnavailable?: ((error: unknown) => void) | undefined;
}

export interface GuardedRateLimiter extends RateLimiter {
  take(requests: readonly RateRequest[], whenUnavailable?: WhenUnavailable): Promise<RateDecision>;
}

interface Refusal {
  readonly until: number;
  readonly resetAt: number;
  readonly step: number;
  readonly burst: number;
  readonly cost: number;
}

const mostRefusals = 10_000;
/** Of the caller or the installation: counting elsewhere would hide them. */
const faults: readonly ErrorCode[] = ['TNT_INPUT_INVALID', 'TNT_DEPENDENCY_MISSING'];

/**
 * Puts a shared store behind a time limit and a choice for when it fails, and answers what must be refused again from
 * memory: an arrival time only grows, so nobody need be asked before the time that Retry-After named.
 */
export function guardRateLimiter(store: RateLimiter, options: GuardOptions = {}): GuardedRateLimiter {
  const { timeoutMs = 500, coolDownMs = 1_000, onUnavailable } = options;
  const local = createMemoryRateLimiter();
  const refusals = new Map<string, Refusal>();
  let downUntil = -Infinity;

  function refusedBefore(requests: readonly RateRequest[]): RateDecision | undefined {
    if (refusals.size === 0 || !requests.some(({ key }) => refusals.has(key))) return undefined;
    const at = performance.now();
    for (const cell of cellsOf(requests)) {
      const known = refusals.get(cell.key);
      if (known === undefined) continue;
      if (known.until <= at) refusals.delete(cell.key);
      else if (cell.step === known.step && cell.burst === known.burst && cell.cost >= known.cost) {
        return decisionOf([cell], [known.resetAt - at], false);
      }
    }
    return undefined;
  }

  function remember(requests: readonly RateRequest[], decision: RateDecision, askedAt: number): void {
    if (decision.allowed) return;
    for (const [i, cell] of cellsOf(requests).entries()) {
      const state = decision.states[i];
      if (state === undefined || state.allowed || state.retryAfterMs === 0) continue;
      if (refusals.size >= mostRefusals) refusals.delete(refusals.keys().next().value ?? '');
      const { key, step, burst, cost } = cell;
      // the store said it after we asked: by our clock the time cannot come earlier
      refusals.set(key, {
        until: askedAt + state.retryAfterMs - 1,
        resetAt: askedAt + state.resetMs,
        step,
        burst,
        cost,
      });
    }
  }

  async function ask(requests: readonly RateRequest[]): Promise<RateDecision> {
    const askedAt = performance.now();
    const timer = new AbortController();
    try {
      const decision = await Promise.race([
        store.take(requests),
        sleep(timeoutMs, undefined, { signal: timer.signal, ref: false }).then(() => {
          throw new TenantryError('TNT_RATE_STORE_UNAVAILABLE', `The store of rate limits took over ${timeoutMs} ms.`);
        }),
      ]);
      remember(requests, decision, askedAt);
      return decision;
    } finally {
      timer.abort();
    }
  }

  return {
    async take(requests, whenUnavailable = 'memory') {
      const refused = refusedBefore(requests);
      if (refused !== undefined) return refused;
      if (performance.now() >= downUntil) {
        try {
          return await ask(requests);
        } catch (error) {
          if (error instanceof TenantryError && faults.includes(error.code)) throw error;
          downUntil = performance.now() + coolDownMs;
          onUnavailable?.(error);
          if (whenUnavailable === 'refuse') throw unavailable(error);
        }
      }
      switch (whenUnavailable) {
        case 'refuse':
          throw unavailable();
        case 'allow':
          return decisionOf(
            cellsOf(requests),
            requests.map(() => 0),
            true,
          );
        default:
          return local.take(requests);
      }
    },
    async forget(keys) {
      for (const key of keys) refusals.delete(key);
      await local.forget(keys);
      await store.forget(keys);
    },
  };
}

function unavailable(cause?: unknown): TenantryError {
  return new TenantryError('TNT_RATE_STORE_UNAVAILABLE', 'The store of this rate limit cannot be reached.', { cause });
}
