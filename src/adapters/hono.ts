import { TenantryError } from '../errors.ts';
import { type TenantContextOptions, verifyRequest } from './request-context.ts';

export type { Claim, MembershipVerifier, TenantContextOptions, VerifyClaim } from './request-context.ts';
export { membership, subdomain } from './request-context.ts';

interface ContextLike {
  header(name: string, value: string): void;
}

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
export function tenantContext<C extends ContextLike>(
  options: TenantContextOptions<C>,
): (c: C, next: () => Promise<void>) => Promise<Response | void> {
  return async (c, next) => {
    try {
      const { headers, run } = await verifyRequest(c, options);
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
  return Response.json(error, { status: error.status });
}
