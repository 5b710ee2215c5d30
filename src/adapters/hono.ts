import { TenantryError } from '../errors.ts';
import { type TenantContextOptions, type VerifiedRequest, verifyRequest } from './request-context.ts';
import { type KeyContextOptions, keyVerifier, refusalHeaders } from './request-key.ts';
import { type RateLimitOptions, rateVerifier } from './request-rate.ts';

export type { Claim, MembershipVerifier, TenantContextOptions, VerifyClaim } from './request-context.ts';
export { membership, subdomain } from './request-context.ts';
export type { KeyContextOptions } from './request-key.ts';
export { keyOf } from './request-key.ts';
export type { RateLimitOptions } from './request-rate.ts';

interface ContextLike {
  header(name: string, value: string): void;
}

interface KeyContextLike extends ContextLike {
  readonly req: { readonly method: string; header(name: string): string | undefined };
  readonly env?: unknown;
}

type Middleware<C> = (c: C, next: () => Promise<void>) => Promise<Response | void>;

/**
 * Middleware for Hono: runs the rest of the request for the organization it names, once the membership is verified.
 * A claim that does not hold is answered with 401, 403 or 400 and `{ code, message, details, hint }`.
 *
 * @example
 * ```ts
 * import { membership, tenantContext, tenantryErrors } from 'tenantry/hono';
 *
 * app.use('/api/*', tenantContext({
 *   identify: (c: Context) => ({ userId: c.get('session')?.userId, tenant: c.req.header('x-tenant') }),
 *   verify: membership(t),
 * }));
 * app.onError(tenantryErrors((error, c) => c.text('Internal Server Error', 500)));
 * ```
 */
export function tenantContext<C extends ContextLike>(options: TenantContextOptions<C>): Middleware<C> {
  return through((c) => verifyRequest(c, options));
}

/**
 * Middleware for Hono: runs the rest of the request as its API key, confined to the key's organization and namespace.
 * A key that does not hold is answered with 401, 403 or 429 and `{ code, message, details, hint }`.
 *
 * @example
 * ```ts
 * import { keyContext } from 'tenantry/hono';
 *
 * app.use('/v1/*', keyContext({ keys: t.keys }));
 * app.use('/widget/*', keyContext({ keys: t.keys, kinds: ['widget'] }));
 * ```
 */
export function keyContext<C extends KeyContextLike>(options: KeyContextOptions<C>): Middleware<C> {
  const verify = keyVerifier(options);
  return through((c) =>
    verify(c, {
      method: c.req.method,
      header: (name) => c.req.header(name),
      // as @hono/node-server hands it on
      remoteAddress: (c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined)?.incoming?.socket
        ?.remoteAddress,
    }),
  );
}

/**
 * Middleware for Hono: takes each request from the limits of its class, in the context that it has by then: put it behind
 * the middleware that gives one. Refused requests get 429 with `Retry-After`; every response tells `RateLimit`.
 *
 * @example
 * ```ts
 * import { rateLimit } from 'tenantry/hono';
 *
 * app.use('/api/*', rateLimit({ limits: t.rateLimits, class: 'api' }));
 * ```
 */
export function rateLimit<C extends ContextLike>(options: RateLimitOptions<C>): Middleware<C> {
  return through(rateVerifier(options));
}

function through<C extends ContextLike>(verify: (c: C) => Promise<VerifiedRequest>): Middleware<C> {
  return async (c, next) => {
    try {
      const { headers, run } = await verify(c);
      for (const [name, value] of headers) c.header(name, value);
      return await run(next);
    } catch (error) {
      if (error instanceof TenantryError) return answer(error);
      throw error;
    }
  };
}

/** Answers errors of Tenantry that a handler threw; every other goes to `otherwise`. For `app.onError`. */
export function tenantryErrors<C>(
  otherwise: (error: Error, c: C) => Response | Promise<Response>,
): (error: Error, c: C) => Response | Promise<Response> {
  return (error, c) => (error instanceof TenantryError ? answer(error) : otherwise(error, c));
}

function answer(error: TenantryError): Response {
  return Response.json(error, { status: error.status, headers: refusalHeaders(error) });
}
