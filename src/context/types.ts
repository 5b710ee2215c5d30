declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** An organization's id: a UUID in its 36-character form. */
export type TenantId = Brand<string, 'TenantId'>;
/** A user's id: a UUID in its 36-character form. */
export type UserId = Brand<string, 'UserId'>;

/** Who is asking, inside one organization. Sent to the server with each query, valid for that query or transaction alone. */
export interface TenantContext {
  readonly kind: 'tenant';
  readonly tenantId: TenantId;
  readonly userId?: UserId;
  /** The organization's key in host tables keyed by something else (`account_id bigint`). Defaults to the tenant's id. */
  readonly tenantKey?: string;
  readonly workspaceId?: string;
  /** The namespace that the request is confined to: a UUID. Absent: all of the organization's. */
  readonly namespaceId?: string;
  /** The API key that asks, instead of a user: a UUID. */
  readonly apiKeyId?: string;
  /** The organization's own customer that asks, or that a key asks for: a UUID. */
  readonly endUserId?: string;
}

/** A user without an organization yet: sign-up, the organization switcher, invitations. */
export interface UserContext {
  readonly kind: 'user';
  readonly userId: UserId;
}

/** Tenantry's own catalogue reads and an ORM's start-up probes: no tenant, and so no tenant's rows. */
export interface SystemContext {
  readonly kind: 'system';
  readonly reason: string;
}

export type Context = TenantContext | UserContext | SystemContext;
