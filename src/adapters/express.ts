import { TenantryError } from '../errors.ts';
import { bindEvents, type TenantContextOptions, type VerifiedRequest, verifyRequest } from './request-context.ts';

export type { Claim, MembershipVerifier, TenantContextOptions, VerifyClaim } from './request-context.ts';
export { membership, subdomain } from './request-context.ts';

interface RequestLike {
  emit(event: string | symbol, ...args: never[]): boolean;
}

interface ResponseLike extends RequestLike {
  readonly headersSent: boolean;
  status(code: number): { json(body: unknown): unknown };
  setHeader(name: string, value: string): unknown;
}

type Next = (error?: unknown) => void;

/**
 * Middleware for Express: runs the rest of the request for the organization it names, once the membership is
 * verified; also the events of the request's and the response's streams. Put body parsers behind it or before it.
 *
 * @example
 * ```ts
 * import { membership, tenantContext, tenantryErrors } from 'tenantry/express';
 *
 * app.use('/api', tenantContext({
 *   identify: (req: Request) => ({ userId: req.session.userId, tenant: req.get('x-tenant') }),
 *   verify: membership(t),
 * }));
 * app.use('/api', routes);
 * app.use(tenantryErrors());
 * ```
 */
export function tenantContext<Req extends RequestLike>(
  options: TenantContextOptions<Req>,
): (req: Req, res: ResponseLike, next: Next) => Promise<void> {
  return async (req, res, next) => {
    let verified: VerifiedRequest;
    try {
      verified = await verifyRequest(req, options);
    } catch (error) {
      if (error instanceof TenantryError) answer(error, res);
      else next(error);
      return;
    }
    for (const [name, value] of verified.headers) res.setHeader(name, value);
    await verified.run(() => {
      bindEvents(req);
      bindEvents(res);
      next();
    });
  };
}

/** Answers errors of Tenantry that a handler threw or passed on; every other goes on to the next error handler. */
export function tenantryErrors(): (error: unknown, req: unknown, res: ResponseLike, next: Next) => void {
  return (error, _req, res, next) => {
    if (error instanceof TenantryError && !res.headersSent) answer(error, res);
    else next(error);
  };
}

function answer(error: TenantryError, res: ResponseLike): void {
  res.status(error.status).json(error);
}
