import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Role, roleCreate, roleUpdate } from '../schema.ts';
import { assignments } from './update.ts';
import { first } from './rows.ts';

const columns = 'r.id, r.name, r.description, r.permissions, false as system';

export async function insertRole(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof roleCreate>,
): Promise<Role | undefined> {
  const [row] = await kernel.query<Role>(
    `insert into tenantry.roles as r (tenant_id, name, description, permissions)
     values ($1::uuid, $2::text, $3::text, $4::text[]) returning ${columns}`,
    [tenantId, input.name, input.description ?? null, input.permissions],
  );
  return row;
}

export async function selectRole(kernel: Kernel, tenantId: string, id: string): Promise<Role | null> {
  return first(
    await kernel.query<Role>(
      `select ${columns} from tenantry.roles r where r.tenant_id = $1::uuid and r.id = $2::uuid
     union all select s.id, s.name, s.description, s.permissions, true from tenantry.system_roles s where s.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

/** System roles first. There are few: no pages. */
export async function listRoles(kernel: Kernel, tenantId: string): Promise<Role[]> {
  return kernel.query<Role>(
    `select s.id, s.name, s.description, s.permissions, true as system from tenantry.system_roles s
     union all select ${columns} from tenantry.roles r where r.tenant_id = $1::uuid
     order by system desc, name`,
    [tenantId],
  );
}

export async function updateRole(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof roleUpdate>,
): Promise<Role | null> {
  const set = assignments(
    input,
    { name: ['name', 'text'], description: ['description', 'text'], permissions: ['permissions', 'text[]'] },
    3,
  );
  if (set === undefined) return selectRole(kernel, tenantId, id);
  return first(
    await kernel.query<Role>(
      `update tenantry.roles r set ${set.text} where r.tenant_id = $1::uuid and r.id = $2::uuid returning ${columns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteRole(kernel: Kernel, tenantId: string, id: string): Promise<Role | null> {
  return first(
    await kernel.query<Role>(
      `delete from tenantry.roles r where r.tenant_id = $1::uuid and r.id = $2::uuid returning ${columns}`,
      [tenantId, id],
    ),
  );
}
