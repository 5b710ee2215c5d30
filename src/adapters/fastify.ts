import { AsyncResource } from 'node:async_hooks';
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
  readonly raw: { emit(event: string | symbol, ...args: never[]): boolean };
}

interface KeyRequestLike extends RequestLike {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

interface ReplyLike {
  code(status: number): { send(body: unknown): unknown };
  header(name: string, value: string): unknown;
  send(error: Error): unknown;
}

type Done = (error?: Error) => void;
type Plugin<R> = (app: InstanceLike<R>, options: unknown, done: Done) => void;
type Hook<R> = (request: R, reply: ReplyLike, done: Done) => void;

interface InstanceLike<R> {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook<R>): unknown;
}

/**
 * Plugin for Fastify: every route of the instance it is registered on runs for the organization the request names, once
 * the membership is verified.
 *
 * @example
 * ```ts
 * import { membership, tenantContext, tenantryErrors } from 'tenantry/fastify';
 *
 * app.setErrorHandler(tenantryErrors());
 * await app.register(tenantContext({
 *   identify: (request: FastifyRequest) => ({ userId: request.session.userId, tenant: request.headers['x-tenant'] as string }),
 *   verify: membership(t),
 * }));
 * ```
 */
export function tenantContext<R extends RequestLike>(options: TenantContextOptions<R>): Plugin<R> {
  return through((request) => verifyRequest(request, options));
}

/**
 * Plugin for Fastify: every route of the instance it is registered on runs as the request's API key, confined to the
 * key's organization and namespace.
 *
 * @example
 * ```ts
 * import { keyContext } from 'tenantry/fastify';
 *
 * await app.register(async (v1) => {
 *   await v1.register(keyContext({ keys: t.keys }));
 *   v1.get('/notes', () => pool.query('select * from notes'));
 * });
 * ```
 */
export function keyContext<R extends KeyRequestLike>(options: KeyContextOptions<R>): Plugin<R> {
  const verify = keyVerifier(options);
  return through((request) =>
    verify(request, {
      method: request.method,
      header: (name) => {
        const value = request.headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
      remoteAddress: request.socket.remoteAddress,
    }),
  );
}

/**
 * Plugin for Fastify: takes each request from the limits of its class, in the context that it has by then: put it behind
 * the middleware that gives one. Refused requests get 429 with `Retry-After`; every response tells `RateLimit`.
 *
 * @example
 * ```ts
 * import { rateLimit } from 'tenantry/fastify';
 *
 * await app.register(rateLimit({ limits: t.rateLimits, class: 'api', address: (request) => request.ip }));
 * ```
 */
export function rateLimit<R extends RequestLike>(options: RateLimitOptions<R>): Plugin<R> {
  return through(rateVerifier(options));
}

function through<R extends RequestLike>(verify: (request: R) => Promise<VerifiedRequest>): Plugin<R> {
  const scopes = new WeakMap<object, AsyncResource>();
  const admit = async (request: R, reply: ReplyLike, done: Done): Promise<void> => {
    let verified: VerifiedRequest;
    try {
      verified = await verify(request);
    } catch (error) {
      if (error instanceof TenantryError) answer(error, reply);
      else done(error as Error);
      return;
    }
    for (const [name, value] of verified.headers) reply.header(name, value);
    await verified.run(() => {
      scopes.set(request, new AsyncResource('TenantryRequest'));
      bindEvents(request.raw);
      done();
    });
  };
  const plugin = (app: InstanceLike<R>, _: unknown, registered: Done): void => {
    app.addHook('onRequest', (request, reply, done) => void admit(request, reply, done));
    // a hook may have been called back from elsewhere
    app.addHook('preValidation', (request, _reply, done) => {
      const scope = scopes.get(request);
      if (scope === undefined) done();
      else scope.runInAsyncScope(done);
    });
    registered();
  };
  // hooks of a plugin would else end at its own routes
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true });
}

/** Answers errors of Tenantry that a handler threw; every other goes to Fastify's own handler. For `setErrorHandler`. */
export function tenantryErrors(): (error: Error, request: unknown, reply: ReplyLike) => void {
  return (error, _request, reply) => {
    if (error instanceof TenantryError) answer(error, reply);
    else reply.send(error);
  };
}

function answer(error: TenantryError, reply: ReplyLike): void {
  for (const [name, value] of Object.entries(refusalHeaders(error))) reply.header(name, value);
  reply.code(error.status).send(error.toJSON());
}
