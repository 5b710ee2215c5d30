import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import { deleteRole, insertRole, listRoles, selectRole, updateRole } from './queries/roles.ts';
import { isId, type Role, type RoleCreate, type RoleUpdate, roleCreate, roleUpdate } from './schema.ts';
import { write } from './write-error.ts';

export interface Roles {
  /** @throws TNT_INPUT_INVALID, TNT_CONFLICT, TNT_FORBIDDEN without roles.write or for a permission one does not hold */
  create(input: RoleCreate): Promise<Role>;
  get(id: string): Promise<Role | null>;
  /** System roles first, then the organization's own. */
  list(): Promise<Role[]>;
  /** @throws TNT_FORBIDDEN, also for system roles */
  update(id: string, input: RoleUpdate): Promise<Role | null>;
  /** @throws TNT_FORBIDDEN, TNT_CONFLICT while a member or an invitation has it */
  delete(id: string): Promise<Role | null>;
}

export function createRoles(kernel: Kernel): Roles {
  const tenant = (): string => currentTenant().tenantId;
  const look = async (id: string): Promise<Role | null> => {
    const role = await selectRole(kernel, tenant(), id);
    if (role?.system === true) throw new TenantryError('TNT_FORBIDDEN', `The system role ${role.name} stays as it is.`);
    return role;
  };
  return {
    async create(input) {
      const values = parseInput(roleCreate, input);
      return write('role', 'create', async () => inserted(await insertRole(kernel, tenant(), values), 'role'));
    },
    async get(id) {
      return isId(id) ? selectRole(kernel, tenant(), id) : null;
    },
    list: async () => listRoles(kernel, tenant()),
    async update(id, input) {
      const values = parseInput(roleUpdate, input);
      if (!isId(id)) return null;
      return write('role', 'update', async () =>
        orForbidden(await updateRole(kernel, tenant(), id, values), () => look(id), 'role', 'update'),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('role', 'delete', async () =>
        orForbidden(await deleteRole(kernel, tenant(), id), () => look(id), 'role', 'delete'),
      );
    },
  };
}
