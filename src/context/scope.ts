import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context, TenantContext } from './types.ts';

/**
 * What AsyncLocalStorage carries: the context, and room for the bytes the pool computes from it once
 * (building them per query would cost more than reading the context does).
 */
export class ContextScope {
  readonly context: Context;
  /** Equal exactly when the server would be told the same. Undefined: nothing is sent for this context. */
  readonly identity: string | undefined;
  /** Bind and Execute of the prepared context statement. Filled by the pool. */
  preparedPrefix: Buffer | undefined = undefined;
  /** The same with its own Parse, for poolers that keep no prepared statements. Filled by the pool. */
  unnamedPrefix: Buffer | undefined = undefined;

  constructor(context: Context, identity?: string) {
    this.context = context;
    this.identity =
      identity ??
      (context.kind === 'tenant'
        ? `${context.tenantId}|${context.userId ?? ''}|${context.tenantKey ?? ''}${requestIdentity(context)}`
        : context.kind === 'user'
          ? `|${context.userId}|`
          : undefined);
  }
}

/** What only requests with a key, an end user or a namespace tell the server: nothing for all others. */
function requestIdentity({ namespaceId, apiKeyId, endUserId }: TenantContext): string {
  if (namespaceId === undefined && apiKeyId === undefined && endUserId === undefined) return '';
  // a line feed: no key of a tenant holds one
  return `\n${namespaceId ?? ''}|${apiKeyId ?? ''}|${endUserId ?? ''}`;
}

const storage = new AsyncLocalStorage<ContextScope | undefined>();

/** The scope of the running call chain. Read it synchronously, never in a callback of the driver. */
export function currentScope(): ContextScope | undefined {
  return storage.getStore();
}

/** Runs `fn` in the scope and awaits it inside: ORM queries are lazy and run where they are awaited. */
export function runInScope<T>(scope: ContextScope, fn: () => T | PromiseLike<T>): Promise<T> {
  return storage.run(scope, async () => {
    const result = await fn();
    return result;
  });
}

/**
 * Runs `fn` without any context. What is created inside (sockets, timers) does not remember the caller:
 * a socket opened by one tenant would run every later callback as that tenant.
 */
export function runOutsideContext<T>(fn: () => T): T {
  return storage.run(undefined, fn);
}
