import { TenantryError } from '../errors.ts';
import { bindEvents, type TenantContextOptions, type VerifiedRequest, verifyRequest } from './request-context.ts';
import { type KeyContextOptions, keyVerifier, refusalHeaders } from './request-key.ts';
import { type RateLimitOptions, rateVerifier } from './request-rate.ts';

export type { Claim, MembershipVerifier, TenantContextOptions, VerifyClaim } from './request-context.ts';
export { membership, subdomain } from './request-context.ts';
export type { KeyContextOptions } from './request-key.ts';
export { keyOf } from './request-key.ts';
export type { RateLimitOptions } from './request-rate.ts';

interface RequestLike {
  emit(event: string | symbol, ...args: never[]): boolean;
}

interface KeyRequestLike extends RequestLike {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

interface ResponseLike extends RequestLike {
  readonly headersSent: boolean;
  status(code: number): { json(body: unknown): unknown };
  setHeader(name: string, value: string): unknown;
}

type Next = (error?: unknown) => void;
type Middleware<Req> = (req: Req, res: ResponseLike, next: Next) => Promise<void>;

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
export function tenantContext<Req extends RequestLike>(options: TenantContextOptions<Req>): Middleware<Req> {
  return through((req) => verifyRequest(req, options));
}

/**
 * Middleware for Express: runs the rest of the request as its API key, confined to the key's organization and namespace.
 *
 * @example
 * ```ts
 * import { keyContext } from 'tenantry/express';
 *
 * app.use('/v1', keyContext({ keys: t.keys }));
 * app.use('/widget', keyContext({ keys: t.keys, kinds: ['widget'] }));
 * ```
 */
export function keyContext<Req extends KeyRequestLike>(options: KeyContextOptions<Req>): Middleware<Req> {
  const verify = keyVerifier(options);
  return through((req) =>
    verify(req, {
      method: req.method,
      header: (name) => joined(req.headers[name]),
      remoteAddress: req.socket.remoteAddress,
    }),
  );
}

/**
 * Middleware for Express: takes each request from the limits of its class, in the context that it has by then: put it behind
 * the middleware that gives one. Refused requests get 429 with `Retry-After`; every response tells `RateLimit`.
 *
 * @example
 * ```ts
 * import { rateLimit } from 'tenantry/express';
 *
 * app.use('/api', rateLimit({ limits: t.rateLimits, class: 'api', address: (req) => req.ip }));
 * ```
 */
export function rateLimit<Req extends RequestLike>(options: RateLimitOptions<Req>): Middleware<Req> {
  return through(rateVerifier(options));
}

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;

function through<Req extends RequestLike>(verify: (req: Req) => Promise<VerifiedRequest>): Middleware<Req> {
  return async (req, res, next) => {
    let verified: VerifiedRequest;
    try {
      verified = await verify(req);
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
  for (const [name, value] of Object.entries(refusalHeaders(error))) res.setHeader(name, value);
  res.status(error.status).json(error);
}
