import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted } from '../directory/forbidden.ts';
import { parseInput } from '../directory/input.ts';
import { idSchema, isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { TenantryError } from '../errors.ts';
import { deleteGrant, selectGrants, upsertGrant } from './grant-queries.ts';
import { selectResource } from './queries.ts';
import { type Grant, type GrantCreate, grantCreate } from './schema.ts';

export interface Grants {
  /**
   * Gives a principal access to a resource, or changes what it has.
   *
   * @throws TNT_FORBIDDEN unless the caller has admin access, TNT_NOT_FOUND, TNT_INPUT_INVALID
   */
  attach(input: GrantCreate): Promise<Grant>;
  /** Takes the grant away; one's own can always be given back. False when there was none. @throws TNT_FORBIDDEN */
  revoke(resourceId: string, principalId: string): Promise<boolean>;
  /** Everybody's for those who may grant; the caller's own otherwise. */
  list(resourceId: string): Promise<Grant[]>;
  /**
   * Makes the grants of a resource exactly these, in one transaction: what an ACL editor saves.
   *
   * @throws TNT_FORBIDDEN, TNT_NOT_FOUND, TNT_INPUT_INVALID; nothing is changed then
   */
  replace(resourceId: string, grants: Omit<GrantCreate, 'resourceId'>[]): Promise<Grant[]>;
}

export function createGrants(kernel: Kernel): Grants {
  const tenant = (): string => currentTenant().tenantId;

  async function attach(on: Kernel, input: GrantCreate): Promise<Grant> {
    const values = parseInput(grantCreate, input);
    if ((await selectResource(on, tenant(), values.resourceId)) === null) {
      throw new TenantryError('TNT_NOT_FOUND', 'The resource does not exist, or this context may not see it.');
    }
    return write('grant', 'create', async () => inserted(await upsertGrant(on, tenant(), values), 'grant'));
  }

  async function revoke(on: Kernel, resourceId: string, principalId: string): Promise<boolean> {
    if (await deleteGrant(on, tenant(), resourceId, principalId)) return true;
    const visible = await selectGrants(on, tenant(), resourceId);
    if (!visible.some((grant) => grant.principalId === principalId)) return false;
    throw new TenantryError('TNT_FORBIDDEN', 'This context may see the grant, but not revoke it.');
  }

  return {
    attach: (input) => attach(kernel, input),
    async revoke(resourceId, principalId) {
      return isId(resourceId) && isId(principalId) && revoke(kernel, resourceId, principalId);
    },
    async list(resourceId) {
      return isId(resourceId) ? selectGrants(kernel, tenant(), resourceId) : [];
    },
    async replace(resourceId, grants) {
      const id = parseInput(idSchema, resourceId);
      return kernel.transaction(async (tx) => {
        const kept = new Set(grants.map((grant) => grant.principalId));
        // first give, then take: a caller who takes their own admin access away may do so as the last thing
        for (const grant of grants) await attach(tx, { ...grant, resourceId: id });
        for (const { principalId } of await selectGrants(tx, tenant(), id)) {
          if (!kept.has(principalId)) await revoke(tx, id, principalId);
        }
        return selectGrants(tx, tenant(), id);
      });
    },
  };
}
