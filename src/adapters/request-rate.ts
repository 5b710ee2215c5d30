import type { AdmitOptions, Admission } from '../metering/rate/index.ts';
import type { VerifiedRequest } from './request-context.ts';

export interface RateLimitOptions<R> {
  /** `t.rateLimits`. */
  readonly limits: { assert(name: string, options?: AdmitOptions): Promise<Admission> };
  /** Which of your classes these routes belong to. */
  readonly class: string;
  /** How many requests one counts for. Defaults to 1. */
  readonly cost?: number | ((request: R) => number);
  /** The caller's address, for classes that limit by it. Behind a proxy of yours: the one that it names. */
  readonly address?: (request: R) => string | undefined;
}

/** Lets a request go on in the context that it has, with the headers of its limits, or refuses it. */
export function rateVerifier<R>(options: RateLimitOptions<R>): (request: R) => Promise<VerifiedRequest> {
  const { limits, class: name, cost, address } = options;
  return async (request) => {
    const { headers } = await limits.assert(name, {
      cost: typeof cost === 'function' ? cost(request) : cost,
      address: address?.(request),
    });
    return { headers: Object.entries(headers), run: async (fn) => fn() };
  };
}
