import { currentTenant, withTenant } from '../context/context.ts';
import type { TenantContext } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import type { Permission } from './permissions.ts';
import { callerCan, callerCanOnResource } from './queries/access.ts';
import { isId } from './schema.ts';

/** What may be asked about one resource. */
export const resourcePermissions = ['resource.read', 'resource.write', 'resource.admin'] as const;
export type ResourcePermission = (typeof resourcePermissions)[number];

export interface Access {
  /**
   * Whether the context's user holds a permission by role, or with a resource, whether they may read, write or share it.
   * Answered by the functions that the policies call: there is no second rule. A context without a user holds nothing.
   *
   * @example
   * ```ts
   * if (await t.can(currentTenant(), 'members.write')) showInviteButton();
   * if (await t.can(currentTenant(), 'resource.write', prompt.id)) showEditor();
   * ```
   */
  can(context: TenantContext, permission: Permission): Promise<boolean>;
  can(context: TenantContext, permission: ResourcePermission, resourceId: string): Promise<boolean>;
  /** The same for the current context, as an error. @throws TNT_FORBIDDEN naming the permission */
  assertCan(permission: Permission, resourceId?: string): Promise<void>;
}

export function createAccess(kernel: Kernel): Access {
  async function can(context: TenantContext, permission: string, resourceId?: string): Promise<boolean> {
    return withTenant(context, async () => {
      if (resourceId === undefined) return callerCan(kernel, permission);
      const level = accessOf(permission);
      return (
        level !== undefined && isId(resourceId) && callerCanOnResource(kernel, context.tenantId, resourceId, level)
      );
    });
  }
  return {
    can,
    async assertCan(permission, resourceId) {
      if (await can(currentTenant(), permission, resourceId)) return;
      throw new TenantryError('TNT_FORBIDDEN', `This context lacks the permission ${permission}.`, {
        details: { permission },
      });
    },
  };
}

function accessOf(permission: string): 'read' | 'write' | 'admin' | undefined {
  switch (permission) {
    case 'resource.read':
      return 'read';
    case 'resource.write':
      return 'write';
    case 'resource.admin':
      return 'admin';
    default:
      return undefined;
  }
}
