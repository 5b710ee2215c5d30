/** What a single-tenant configuration gains: for whom a command or job runs. */
export interface Tenancy {
  readonly orgId: string | undefined;
  readonly userId: string | undefined;
  /** True when a user is set: then each step reads and writes that user's rows only. */
  readonly isMultiTenant: boolean;
}

export type TenantConfig<C extends object> = Readonly<C> &
  Tenancy & {
    /** A copy for one user; the original stays as it was. */
    withUser(userId: string, orgId?: string): TenantConfig<C>;
  };

/**
 * Adds `orgId` and `userId` to any configuration, which keeps all it had (requirement A4).
 *
 * @example
 * ```ts
 * import { addTenancy } from 'tenantry';
 *
 * const config = addTenancy({ mboxPath: './mail.mbox', ownAddress: 'me@example.com' });
 * const forOne = config.withUser('0198c7a0-0000-7000-8000-000000000001');
 * console.log(config.isMultiTenant, forOne.isMultiTenant, forOne.mboxPath); // false true ./mail.mbox
 * ```
 */
export function addTenancy<C extends object>(
  config: C,
  ids: { orgId?: string | undefined; userId?: string | undefined } = {},
): TenantConfig<C> {
  return Object.freeze({
    ...config,
    orgId: ids.orgId,
    userId: ids.userId,
    isMultiTenant: ids.userId !== undefined,
    withUser: (userId: string, orgId: string | undefined = ids.orgId) => addTenancy(config, { orgId, userId }),
  });
}
