import { TenantryError } from '../errors.ts';
import type { Rate } from '../metering/rate/types.ts';
import { houseOf } from './addresses.ts';
import type { KeyRateLimiter } from './options.ts';

const mostBlocked = 10_000;
const unknownHouse = houseOf(undefined);

/** Counts what guesses keys, by address, and turns it away before anything is looked up. Right keys are not counted. */
export interface Throttle {
  /** @throws TNT_RATE_LIMITED while the address has failed too often */
  admit(address: string | undefined): void;
  /** A key was wrong. */
  failed(address: string | undefined): Promise<void>;
}

export function createThrottle(limiter: KeyRateLimiter, rate: Rate | false): Throttle {
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
      else throw rateLimited('wrong API keys', left);
    },
    async failed(address) {
      const house = houseOf(address);
      if (house === unknownHouse) return;
      const { allowed, retryAfterMs } = await limiter.take([{ key: `api-key-failures:${house}`, rate }]);
      if (allowed) return;
      for (const oldest of blocked.keys()) {
        if (blocked.size < mostBlocked) break;
        blocked.delete(oldest);
      }
      blocked.set(house, performance.now() + Math.min(retryAfterMs, rate.periodMs));
    },
  };
}

function rateLimited(name: string, retryAfterMs: number): TenantryError {
  const retryAfter = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new TenantryError('TNT_RATE_LIMITED', `Too many ${name} from this address: try again in ${retryAfter} s.`, {
    details: { name, retryAfterMs: Math.ceil(retryAfterMs), retryAfter },
  });
}
