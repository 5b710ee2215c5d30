import { TenantryError } from '../errors.ts';
import { houseOf } from './addresses.ts';
import type { KeyRate } from './entry.ts';
import type { KeyRateLimiter } from './rate-limiter.ts';

const mostBlocked = 10_000;

/** Counts what guesses keys, by address, and turns it away before anything is looked up. Right keys are not counted. */
export interface Throttle {
  /** @throws TNT_RATE_LIMITED while the address has failed too often */
  admit(address: string | undefined): void;
  /** A key was wrong. */
  failed(address: string | undefined): Promise<void>;
}

export function createThrottle(limiter: KeyRateLimiter, rate: KeyRate | false): Throttle {
  if (rate === false) return { admit: () => {}, failed: async () => {} };
  const blocked = new Map<string, number>();
  return {
    admit(address) {
      if (blocked.size === 0) return;
      const house = houseOf(address);
      const until = blocked.get(house);
      if (until === undefined) return;
      const left = until - performance.now();
      if (left <= 0) blocked.delete(house);
      else throw tooMany(left);
    },
    async failed(address) {
      const house = houseOf(address);
      const { allowed, retryAfterMs } = await limiter.take([{ key: `api-key-failures:${house}`, rate }]);
      if (allowed) return;
      if (blocked.size >= mostBlocked) blocked.delete(blocked.keys().next().value ?? '');
      blocked.set(house, performance.now() + Math.min(retryAfterMs, rate.periodMs));
    },
  };
}

export function tooMany(retryAfterMs: number, details: object = {}): TenantryError {
  const retryAfter = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new TenantryError('TNT_RATE_LIMITED', `Too many requests: try again in ${retryAfter} s.`, {
    details: { ...details, retryAfterMs: Math.ceil(retryAfterMs), retryAfter },
  });
}
