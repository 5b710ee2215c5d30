import { TenantryError } from '../../errors.ts';
import type { RateDecision, RateState } from './types.ts';

/** A limit by the name that its headers carry. */
export interface NamedState extends RateState {
  readonly name: string;
}

/**
 * `RateLimit-Policy`, `RateLimit` and, after a refusal, `Retry-After`
 * (draft-ietf-httpapi-ratelimit-headers-10; RFC 9110, section 10.2.3).
 */
export function rateLimitHeaders(
  states: readonly NamedState[],
  { allowed, retryAfterMs }: Pick<RateDecision, 'allowed' | 'retryAfterMs'>,
): Record<string, string> {
  const seconds = (ms: number): number => Math.ceil(ms / 1000);
  const policies = states.map(
    ({ name, rate }) => `${quoted(name)};q=${Math.floor(rate.limit)};w=${Math.max(1, seconds(rate.periodMs))}`,
  );
  const limits = states.map(({ name, remaining, resetMs }) => `${quoted(name)};r=${remaining};t=${seconds(resetMs)}`);
  return {
    'RateLimit-Policy': policies.join(', '),
    RateLimit: limits.join(', '),
    ...(allowed ? {} : { 'Retry-After': String(Math.max(1, seconds(retryAfterMs))) }),
  };
}

/** A string of structured fields (RFC 9651, section 3.3.3). */
export function quoted(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`;
}

/** @throws nothing: it makes the error that a refused request ends with */
export function rateLimited(
  name: string,
  { retryAfterMs, limit, remaining, resetMs }: RateDecision,
  headers: Record<string, string>,
): TenantryError {
  const retryAfter = Number(headers['Retry-After']);
  return new TenantryError('TNT_RATE_LIMITED', `Too many requests for "${name}": try again in ${retryAfter} s.`, {
    details: { name, limit, remaining, resetMs, retryAfterMs, retryAfter, headers },
  });
}
