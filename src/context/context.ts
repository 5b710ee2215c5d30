import { AsyncResource } from 'node:async_hooks';
import { TenantryError } from '../errors.ts';
import { ContextScope, currentScope, runInScope } from './scope.ts';
import type { Context, TenantContext } from './types.ts';
import type { TenantContextInput, UserContextInput } from './validate.ts';
import { contextFrom, reasonFrom, tenantContextFrom, userContextFrom } from './validate.ts';

/**
 * Runs `fn` for one organization: every query inside is told who asks, and sees that organization's rows alone.
 * `fn` is awaited inside, so a lazy ORM query may be returned as it is. May be nested with another tenant;
 * a transaction that is open stays bound to the tenant that began it.
 *
 * @throws TNT_CONTEXT_INVALID naming the field
 * @example
 * ```ts
 * import { withTenant } from 'tenantry';
 *
 * const notes = await withTenant({ tenantId, userId }, () => pool.query('select * from notes'));
 * ```
 */
export function withTenant<T>(input: TenantContextInput, fn: () => T | PromiseLike<T>): Promise<T> {
  return runIn(() => tenantContextFrom(input), fn);
}

/**
 * Runs `fn` for a user without an organization yet: sign-up, the organization switcher, invitations.
 *
 * @throws TNT_CONTEXT_INVALID naming the field
 */
export function withUser<T>(input: UserContextInput, fn: () => T | PromiseLike<T>): Promise<T> {
  return runIn(() => userContextFrom(input), fn);
}

/**
 * Runs `fn` with no tenant and no user, on purpose: an ORM's start-up probes, catalog reads. The server is told
 * nothing, so protected tables show no row.
 *
 * @throws TNT_CONTEXT_INVALID when the reason is empty
 */
export function withSystem<T>(reason: string, fn: () => T | PromiseLike<T>): Promise<T> {
  return runIn(() => ({ kind: 'system', reason: reasonFrom(reason) }), fn);
}

/** Not an async function: with an AsyncLocalStorage each promise that it would add costs every request. */
function runIn<T>(context: () => Context, fn: () => T | PromiseLike<T>): Promise<T> {
  let scope: ContextScope;
  try {
    scope = new ContextScope(context());
  } catch (error) {
    return Promise.reject(error);
  }
  return runInScope(scope, fn);
}

/** Who is asking, or undefined outside of any context. */
export function currentContext(): Context | undefined {
  return currentScope()?.context;
}

/**
 * The organization that is asking.
 *
 * @throws TNT_CONTEXT_MISSING outside of withTenant
 */
export function currentTenant(): TenantContext {
  const context = currentContext();
  if (context?.kind === 'tenant') return context;
  throw new TenantryError('TNT_CONTEXT_MISSING', 'There is no tenant here: the code runs outside of withTenant.');
}

/**
 * Binds a listener to the context of this place. Events of sockets and streams otherwise run without any,
 * and a query in them is refused.
 *
 * @example
 * ```ts
 * stream.on('data', bindContext((row) => pool.query('insert into copies values ($1)', [row.id])));
 * ```
 */
export function bindContext<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  return AsyncResource.bind(fn);
}

/** A context as it travels in the payload of a job, a queue or an event. */
export type SerializedContext = Context;

/**
 * The context as plain JSON data for a job's payload.
 *
 * @throws TNT_CONTEXT_MISSING when there is none
 */
export function serializeContext(context: Context | undefined = currentContext()): SerializedContext {
  if (context === undefined) {
    throw new TenantryError('TNT_CONTEXT_MISSING', 'There is no context to save: the code runs outside of withTenant.');
  }
  return { ...context };
}

/**
 * Runs a job's `fn` in the context its payload carries.
 *
 * @throws TNT_CONTEXT_INVALID naming the field, when the payload was damaged
 * @example
 * ```ts
 * queue.add({ context: serializeContext(), invoiceId });
 * queue.process((job) => restoreContext(job.context, () => send(job.invoiceId)));
 * ```
 */
export async function restoreContext<T>(saved: unknown, fn: () => T | PromiseLike<T>): Promise<T> {
  return runInScope(new ContextScope(contextFrom(saved)), fn);
}
