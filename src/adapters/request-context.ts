import { AsyncResource } from 'node:async_hooks';
import { runOutsideContext, type TenantContextInput, withTenant, withUser } from '../context/index.ts';
import { TenantryError } from '../errors.ts';

/** What a request says of itself. The user comes from your sign-in; the tenant is a claim until it is verified. */
export interface Claim {
  readonly userId?: string | undefined;
  /** An organization's id or slug, from a header, the subdomain, the path, the session. */
  readonly tenant?: string | undefined;
}

/** Turns a claim into a context. @throws TNT_NOT_A_MEMBER, TNT_UNAUTHENTICATED */
export type VerifyClaim = (claim: Claim & { readonly tenant: string }) => Promise<TenantContextInput>;

type Added = Pick<TenantContextInput, 'tenantKey' | 'workspaceId'> | undefined | void;

export interface TenantContextOptions<R> {
  /** Reads the claim of a request. Return nothing for a caller who has not signed in. */
  readonly identify: (request: R) => Claim | undefined | Promise<Claim | undefined>;
  /** Usually `membership(t)`. */
  readonly verify: VerifyClaim;
  /** Refuses by throwing, once the membership is known; what it returns is added to the context (`tenantKey`, `workspaceId`). */
  readonly authorize?: (context: TenantContextInput, request: R) => Added | Promise<Added>;
  /**
   * What a request must have: 'tenant' (default); 'user': without a tenant it runs as the user alone (sign-up, switcher);
   * 'nothing': without a user it runs without any context, and its queries are refused.
   */
  readonly require?: 'tenant' | 'user' | 'nothing';
  /** Send `x-tenant-id` and `x-user-id` with the response. Default false. */
  readonly responseHeaders?: boolean;
}

/** What `membership` needs of Tenantry; the object of createTenantry fits. */
export interface MembershipVerifier {
  readonly members: { verify(claim: { tenantId: string; userId: string }): Promise<TenantContextInput> };
  readonly organizations?: { idBySlug(slug: string): Promise<string | null> };
}

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/**
 * Verifies a claim by the membership of the user. A slug is looked up when the tenant is no UUID.
 *
 * @throws TNT_UNAUTHENTICATED without a user, TNT_CONFIG_INVALID when identify returns a user's id of another kind
 */
export function membership({ members, organizations }: MembershipVerifier): VerifyClaim {
  return async ({ userId, tenant }) => {
    if (userId === undefined) throw unauthenticated();
    if (!uuid.test(userId)) {
      throw new TenantryError('TNT_CONFIG_INVALID', 'identify: userId is not the UUID of a row of tenantry.users.', {
        hint: 'Return the id of tenantry.users for whoever signed in, or give a verify of your own.',
      });
    }
    const tenantId = uuid.test(tenant)
      ? tenant
      : await withUser({ userId }, () => organizations?.idBySlug(tenant.toLowerCase()));
    if (typeof tenantId !== 'string') throw notAMember();
    return members.verify({ tenantId, userId });
  };
}

/**
 * The organization's slug in a host name: `acme` of `acme.example.com` for the base `example.com`. Undefined for the base
 * itself, for other hosts, and for deeper names.
 */
export function subdomain(host: string | undefined, base: string): string | undefined {
  const name = host?.toLowerCase().replace(/:\d+$/, '');
  const suffix = `.${base.toLowerCase()}`;
  if (name?.endsWith(suffix) !== true) return undefined;
  const label = name.slice(0, -suffix.length);
  return /^[a-z0-9-]+$/.test(label) ? label : undefined;
}

/** Who a request runs as, after verification. */
export interface VerifiedRequest {
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Runs the rest of the request. */
  run<T>(fn: () => T | PromiseLike<T>): Promise<T>;
}

/** @throws TNT_UNAUTHENTICATED, TNT_INPUT_INVALID (no tenant named), TNT_NOT_A_MEMBER, and what identify and authorize throw */
export async function verifyRequest<R>(request: R, options: TenantContextOptions<R>): Promise<VerifiedRequest> {
  const { identify, authorize, require = 'tenant', responseHeaders = false } = options;
  const { userId, tenant } = (await identify(request)) ?? {};
  const headers = (ids: Record<string, string | undefined>): VerifiedRequest['headers'] =>
    responseHeaders ? Object.entries(ids).flatMap(([name, id]) => (id === undefined ? [] : [[name, id] as const])) : [];
  if (tenant !== undefined) {
    const verified = await concealed(options.verify({ userId, tenant }));
    const { tenantKey = verified.tenantKey, workspaceId = verified.workspaceId } =
      (await authorize?.(verified, request)) ?? {};
    const context = { ...verified, tenantKey, workspaceId };
    return {
      headers: headers({ 'x-tenant-id': context.tenantId, 'x-user-id': context.userId }),
      run: (fn) => withTenant(context, fn),
    };
  }
  if (userId === undefined && require !== 'nothing') throw unauthenticated();
  if (require === 'tenant') {
    throw new TenantryError('TNT_INPUT_INVALID', 'The request names no organization.', {
      hint: 'Name it as this application expects it: in a header, the host name or the path.',
    });
  }
  if (userId === undefined) return { headers: [], run: (fn) => runOutsideContext(async () => fn()) };
  return { headers: headers({ 'x-user-id': userId }), run: (fn) => withUser({ userId }, fn) };
}

const unknownClaim: readonly string[] = [
  'TNT_NOT_A_MEMBER',
  'TNT_TENANT_UNKNOWN',
  'TNT_NOT_FOUND',
  'TNT_CONTEXT_INVALID',
  'TNT_INPUT_INVALID',
];

/** One answer for every claim that does not hold: whether there is such an organization is not told. */
async function concealed<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof TenantryError && unknownClaim.includes(error.code)) throw notAMember(error);
    throw error;
  }
}

function notAMember(cause?: unknown): TenantryError {
  return new TenantryError('TNT_NOT_A_MEMBER', 'You are not a member of the organization that the request names.', {
    hint: 'Choose one of your own organizations.',
    cause,
  });
}

function unauthenticated(): TenantryError {
  return new TenantryError('TNT_UNAUTHENTICATED', 'The request does not say who makes it.', { hint: 'Sign in first.' });
}

interface EmitterLike {
  emit(event: string | symbol, ...args: never[]): boolean;
}

/**
 * Runs the events of a request's stream as the caller of this function. They come from the socket, which many requests
 * share: a listener would otherwise run without a context.
 */
export function bindEvents(emitter: EmitterLike): void {
  const resource = new AsyncResource('TenantryRequest');
  const emit = emitter.emit.bind(emitter);
  emitter.emit = (event, ...args) => resource.runInAsyncScope(() => emit(event, ...args));
}
