import { type Audit, type AuditOptions, createAudit, operatorAudit } from './audit/index.ts';
import type { TenantContext } from './context/index.ts';
import { createKernel, type Kernel, type PoolLike } from './database/kernel.ts';
import {
  type Access,
  createAccess,
  createEndUsers,
  createInvitations,
  createMembers,
  createNamespaces,
  createOrganizations,
  createPrincipals,
  createRoles,
  createTeams,
  createUsers,
  createWorkspaces,
  type EndUsers,
  type Invitations,
  type Members,
  type Namespaces,
  type Organizations,
  type Permission,
  type Principals,
  type ResourcePermission,
  type Roles,
  type Teams,
  type Users,
  type Workspaces,
} from './directory/index.ts';
import { TenantryError } from './errors.ts';
import { createIsolation, type Isolation } from './isolation/index.ts';
import { createKeys, type Keys, type KeysOptions, ownConnection } from './keys/index.ts';
import { type Billing, createBilling } from './metering/billing/index.ts';
import type { Crossing } from './metering/crossing.ts';
import { createLimits, type Limits } from './metering/limits/index.ts';
import { createPlans, type Plans } from './metering/plans/index.ts';
import { createRateLimits, type RateLimits, type RateLimitsOptions } from './metering/rate/index.ts';
import { createUsage, type UsageOptions, type Usage } from './metering/usage/index.ts';
import {
  createDeliverer,
  createOutbox,
  createWebhooks,
  type Outbox,
  type WebhookOptions,
  type WebhookSecrets,
  type Webhooks,
} from './outbox/index.ts';
import { type OperatorPool, withoutTenant } from './pool/index.ts';
import {
  type Catalog,
  createCatalog,
  createGrants,
  createPrompts,
  createResources,
  type Grants,
  type Prompts,
  type Resources,
} from './resources/index.ts';
import {
  createSyncStates,
  createVaultServices,
  type OAuth,
  type OAuthOptions,
  type SyncStates,
  type Vault,
  type VaultOptions,
} from './vault/index.ts';

export interface TenantryOptions {
  /** The application's pool: a {@link TenantPool}, so that each query carries its context. */
  readonly pool: PoolLike;
  /** Plain connections of the migrating login, for `t.isolation`; absent: using it is an error. */
  readonly adminPool?: PoolLike;
  /** The way across tenants, from {@link createOperatorPool}; absent: `t.withoutTenant` is an error. */
  readonly operator?: OperatorPool | undefined;
  /** Schema of Tenantry's tables. Defaults to `tenantry`. */
  readonly schema?: string;
  /** Where audit entries are also logged and traced. */
  readonly audit?: AuditOptions;
  /** API keys: peppers, cache, limits. */
  readonly keys?: KeysOptions;
  /** Key ring and cache of `t.vault`; the key ring comes from the environment unless it is given here. */
  readonly vault?: Partial<Omit<VaultOptions, 'audit'>>;
  /** Providers and callback addresses of `t.oauth`. */
  readonly oauth?: OAuthOptions;
  /** Where webhooks may be sent, and how patiently. */
  readonly webhooks?: WebhookOptions;
  /** How `t.usage` shares transactions among callers. */
  readonly usage?: UsageOptions;
  /** The limits of your routes by name, and where they are counted. */
  readonly rateLimits?: RateLimitsOptions;
}

/** Everything that Tenantry offers over one pool. */
export interface Tenantry {
  readonly organizations: Organizations;
  readonly users: Users;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly teams: Teams;
  readonly roles: Roles;
  readonly principals: Principals;
  readonly workspaces: Workspaces;
  readonly namespaces: Namespaces;
  readonly endUsers: EndUsers;
  readonly resources: Resources;
  readonly grants: Grants;
  readonly prompts: Prompts;
  readonly catalog: Catalog;
  readonly keys: Keys;
  /** Counts. `t.close()` waits for what is being counted. */
  readonly usage: Usage;
  /** Quotas of plans, organizations, namespaces, keys and end users. */
  readonly limits: Limits;
  /** How often something may be asked for. */
  readonly rateLimits: RateLimits;
  /** What is sold: plans of everybody and of one's own. */
  readonly plans: Plans;
  /** Subscription, preview, invoices, credits; `t.billing.operator` is the seller's side. */
  readonly billing: Billing;
  /** Encryption, and secrets. @throws TNT_CONFIG_INVALID when it is read and there is no key ring */
  readonly vault: Vault;
  /** Connections of members to Google and OpenID providers. @throws TNT_CONFIG_INVALID when it was not configured */
  readonly oauth: OAuth;
  /** How far a member's mail has been fetched. */
  readonly syncStates: SyncStates;
  readonly audit: Audit;
  /** Events, and the dispatcher that hands them on. */
  readonly outbox: Outbox;
  /** Endpoints of organizations that are told of their events. Their secrets are in the vault. */
  readonly webhooks: Webhooks;
  /** @throws TNT_CONFIG_INVALID when it is read and no adminPool was given */
  readonly isolation: Isolation;
  /** Whether the context's user may: by role, or with a resource by grant. The one place that decides (E6). */
  can(context: TenantContext, permission: Permission): Promise<boolean>;
  can(context: TenantContext, permission: ResourcePermission, resourceId: string): Promise<boolean>;
  /** @throws TNT_FORBIDDEN naming the permission */
  readonly assertCan: Access['assertCan'];
  /**
   * The one way across tenants: `fn` gets the operator's connections, and who crossed and why is written before it runs.
   *
   * @throws TNT_OPERATOR_UNAVAILABLE, TNT_CONTEXT_INVALID without a reason
   */
  withoutTenant<T>(reason: string, fn: (database: OperatorPool) => T | PromiseLike<T>, details?: object): Promise<T>;
  /** For services of your own: SQL in, rows out, with the context of the call. */
  readonly kernel: Kernel;
  /** Writes what was collected, ends connections that are not the pool's. Before `pool.end()`. */
  close(): Promise<void>;
}

/**
 * Puts the services together over a pool. It opens nothing and closes nothing.
 *
 * @example
 * ```ts
 * import { createPool, createTenantry, withTenant } from 'tenantry';
 *
 * const t = createTenantry({ pool: createPool({ connectionString: process.env.DATABASE_URL }) });
 * const page = await withTenant({ tenantId, userId }, () => t.resources.list({ type: 'prompt' }));
 * ```
 */
export function createTenantry({
  pool,
  adminPool,
  operator,
  schema = 'tenantry',
  audit = {},
  usage = {},
  rateLimits = {},
  keys: keysOptions = {},
  vault,
  oauth,
  webhooks = {},
}: TenantryOptions): Tenantry {
  const kernel = createKernel(pool, schema);
  const access = createAccess(kernel);
  const rates = createRateLimits(kernel, rateLimits);
  const usageService = createUsage(kernel, usage);
  const crossing: Crossing = (reason, fn) =>
    withoutTenant(reason, (db) => fn(createKernel(db, schema)), { operator, audit: operatorAudit(schema, audit) });
  const auditLog = createAudit(kernel, audit, crossing);
  const keys = createKeys(kernel, auditLog, { listen: ownConnection(pool), ...keysOptions });
  const vaultServices = createVaultServices({ kernel, audit: auditLog, acrossTenants: crossing, vault, oauth });
  const signingSecrets = (): WebhookSecrets => vaultServices.vault().store('webhooks');
  const secretStore: WebhookSecrets = {
    put: async (name, value) => signingSecrets().put(name, value),
    reveal: async (id) => signingSecrets().reveal(id),
    delete: async (id) => signingSecrets().delete(id),
  };
  const connect = ownConnection(pool);
  return {
    organizations: createOrganizations(kernel),
    users: createUsers(kernel),
    members: createMembers(kernel),
    invitations: createInvitations(kernel),
    teams: createTeams(kernel),
    roles: createRoles(kernel),
    principals: createPrincipals(kernel),
    workspaces: createWorkspaces(kernel),
    namespaces: createNamespaces(kernel, auditLog),
    endUsers: createEndUsers(kernel),
    resources: createResources(kernel),
    grants: createGrants(kernel),
    prompts: createPrompts(kernel),
    catalog: createCatalog(kernel),
    usage: usageService,
    limits: createLimits(kernel, { usage: usageService, audit: auditLog }),
    rateLimits: rates,
    keys,
    plans: createPlans(kernel, crossing),
    billing: createBilling(kernel, crossing, (entry, tx) => auditLog.record(entry, tx)),
    get vault() {
      return vaultServices.vault();
    },
    get oauth() {
      return vaultServices.oauth();
    },
    syncStates: createSyncStates(kernel),
    audit: auditLog,
    outbox: createOutbox(kernel, createDeliverer(kernel, secretStore, webhooks), {
      onHour: () => auditLog.maintain(),
      ...(connect === false ? {} : { connect }),
    }),
    webhooks: createWebhooks(kernel, secretStore, auditLog, webhooks),
    get isolation() {
      if (adminPool === undefined) {
        throw new TenantryError(
          'TNT_CONFIG_INVALID',
          'adminPool: t.isolation needs connections of the migrating login.',
        );
      }
      return createIsolation({ admin: adminPool, schema });
    },
    can: access.can,
    assertCan: access.assertCan,
    withoutTenant: (reason, fn, details) =>
      withoutTenant(reason, fn, {
        operator,
        audit: operatorAudit(schema, audit),
        ...(details === undefined ? {} : { details }),
      }),
    kernel,
    async close() {
      await usageService.close();
      vaultServices.close();
      await rates.close();
      await keys.close();
    },
  };
}
