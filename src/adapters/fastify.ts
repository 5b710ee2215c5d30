import { AsyncResource } from 'node:async_hooks';
import { TenantryError } from '../errors.ts';
import { bindEvents, type TenantContextOptions, type VerifiedRequest, verifyRequest } from './request-context.ts';

export type { Claim, MembershipVerifier, TenantContextOptions, VerifyClaim } from './request-context.ts';
export { membership, subdomain } from './request-context.ts';

interface RequestLike {
  readonly raw: { emit(event: string | symbol, ...args: never[]): boolean };
}

interface ReplyLike {
  code(status: number): { send(body: unknown): unknown };
  header(name: string, value: string): unknown;
  send(error: Error): unknown;
}

type Done = (error?: Error) => void;
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
export function tenantContext<R extends RequestLike>(
  options: TenantContextOptions<R>,
): (app: InstanceLike<R>, options: unknown, done: Done) => void {
  const scopes = new WeakMap<object, AsyncResource>();
  const admit = async (request: R, reply: ReplyLike, done: Done): Promise<void> => {
    let verified: VerifiedRequest;
    try {
      verified = await verifyRequest(request, options);
    } catch (error) {
      if (error instanceof TenantryError) reply.code(error.status).send(error.toJSON());
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
    if (error instanceof TenantryError) reply.code(error.status).send(error.toJSON());
    else reply.send(error);
  };
}
