import { type TenantContextInput, withTenant } from '../context/index.ts';
import { TenantryError } from '../errors.ts';
import {
  clientAddress,
  type KeyKind,
  keyRateHeaders,
  networks,
  type VerifiedKey,
  type VerifyOptions,
} from '../keys/index.ts';
import type { VerifiedRequest } from './request-context.ts';

/** What a request is, whichever framework it came through. */
export interface KeyRequest {
  readonly method: string;
  readonly header: (name: string) => string | undefined;
  /** Address of the connection. */
  readonly remoteAddress: string | undefined;
}

type MaybePromise<T> = T | Promise<T>;

export interface KeyContextOptions<R> {
  /** `t.keys`. */
  readonly keys: { verify(key: string, options?: VerifyOptions): Promise<VerifiedKey> };
  /** Kinds of keys that these routes take. Default: secret keys alone. */
  readonly kinds?: readonly KeyKind[];
  /**
   * What the key must be permitted. By default `read` for GET, HEAD and OPTIONS, `delete` for DELETE, `write` for the rest;
   * false: nothing.
   */
  readonly permission?: string | false | ((request: R) => string | undefined);
  /** Where the key stands. By default `Authorization: Bearer …`, then `x-api-key`. Never in a URL: those are logged. */
  readonly read?: (request: R) => string | undefined;
  /** Networks of your own proxies: from them alone `x-forwarded-for` is believed. Default none. */
  readonly trustedProxies?: readonly string[];
  /** The address of the caller, where it is known better. */
  readonly address?: (request: R) => string | undefined;
  /** `t.endUsers`, and the external id of the end user that a request is for: made at its first. */
  readonly endUsers?: { ensure(input: { externalId: string }): Promise<{ readonly id: string }> };
  readonly endUser?: (request: R, key: VerifiedKey) => string | undefined;
  /** Refuses by throwing, once the key is verified; what it returns is added to the context. */
  readonly authorize?: (
    key: VerifiedKey,
    request: R,
  ) => MaybePromise<Pick<TenantContextInput, 'tenantKey' | 'workspaceId'> | undefined | void>;
}

const verified = new WeakMap<object, VerifiedKey>();

/** The key of a request that keyContext let in: of Hono's context, of Express' and Fastify's request. */
export function keyOf(request: object): VerifiedKey | undefined {
  return verified.get(request);
}

/** Made once for each use of the middleware: networks are parsed once. */
export function keyVerifier<R extends object>(
  options: KeyContextOptions<R>,
): (request: R, parts: KeyRequest) => Promise<VerifiedRequest> {
  const { keys, kinds, permission, read, address, endUsers, endUser, authorize, trustedProxies = [] } = options;
  const trusted = trustedProxies.length === 0 ? undefined : networks(trustedProxies);
  return async (request, { method, header, remoteAddress }) => {
    const key = read === undefined ? keyInHeaders(header) : read(request);
    if (key === undefined || key === '') {
      throw new TenantryError('TNT_UNAUTHENTICATED', 'The request carries no API key.', {
        hint: 'Send the header "Authorization: Bearer …" with your key.',
      });
    }
    let rate: Parameters<typeof keyRateHeaders>[0] | undefined;
    const from =
      address === undefined ? clientAddress(remoteAddress, header('x-forwarded-for'), trusted) : address(request);
    const found = await keys.verify(key, {
      kinds,
      permission:
        permission === false
          ? undefined
          : typeof permission === 'function'
            ? permission(request)
            : (permission ?? needed(method)),
      origin: header('origin'),
      address: from,
      onRate: (decision) => {
        rate = decision;
      },
    });
    verified.set(request, found);
    const added = (await authorize?.(found, request)) ?? {};
    const context = { ...found.context, ...added };
    const externalId = endUser?.(request, found);
    // the application makes it, whatever the key itself may
    const { tenantId, namespaceId } = found.context;
    const person =
      externalId === undefined
        ? undefined
        : await withTenant({ tenantId, namespaceId }, () => endUsers?.ensure({ externalId }));
    const whole = person === undefined ? context : { ...context, endUserId: person.id };
    return {
      headers: rate === undefined ? [] : Object.entries(keyRateHeaders(rate)),
      run: (fn) => withTenant(whole, fn),
    };
  };
}

function keyInHeaders(header: KeyRequest['header']): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header('authorization') ?? '')?.[1] ?? header('x-api-key');
}

function needed(method: string): string {
  if (['GET', 'HEAD', 'OPTIONS'].includes(method)) return 'read';
  return method === 'DELETE' ? 'delete' : 'write';
}

/** What a refusal says beside its body (RFC 9110, sections 10.2.3 and 11.6.1). */
export function refusalHeaders({ status, details }: TenantryError): Record<string, string> {
  const { retryAfter, headers } = (details ?? {}) as { retryAfter?: number; headers?: Record<string, string> };
  if (status === 401) return { 'www-authenticate': 'Bearer' };
  return headers ?? (retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) });
}
