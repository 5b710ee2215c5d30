import { createHash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { TenantryError } from '../errors.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Lets a request through that carries the token; compares digests, so that neither length nor content shows in the time. */
export function requireToken(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async function authenticate(c, next) {
    const [scheme = '', given = ''] = (c.req.header('authorization') ?? '').split(' ', 2);
    const equal = timingSafeEqual(digest(given), expected);
    if (scheme.toLowerCase() !== 'bearer' || !equal) {
      c.header('WWW-Authenticate', 'Bearer realm="tenantry"');
      throw new TenantryError('TNT_UNAUTHENTICATED', 'The request carries no valid token.');
    }
    await next();
  };
}
