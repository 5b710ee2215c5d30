import type { z } from 'zod';
import type { Kernel } from '../database/kernel.ts';
import type { Grant, grantCreate } from './schema.ts';

const columns = `g.tenant_id as "tenantId", g.resource_id as "resourceId", g.principal_id as "principalId", g.access,
  g.granted_by as "grantedBy", g.created_at as "createdAt", g.updated_at as "updatedAt"`;

export async function upsertGrant(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof grantCreate>,
): Promise<Grant | undefined> {
  const [row] = await kernel.query<Grant>(
    `insert into tenantry.resource_acl as g (tenant_id, resource_id, principal_id, access)
     values ($1::uuid, $2::uuid, $3::uuid, $4::text)
     on conflict (tenant_id, resource_id, principal_id) do update set access = excluded.access returning ${columns}`,
    [tenantId, input.resourceId, input.principalId, input.access],
  );
  return row;
}

export async function selectGrants(kernel: Kernel, tenantId: string, resourceId: string): Promise<Grant[]> {
  return kernel.query<Grant>(
    `select ${columns} from tenantry.resource_acl g
     where g.tenant_id = $1::uuid and g.resource_id = $2::uuid order by g.created_at, g.principal_id`,
    [tenantId, resourceId],
  );
}

export async function deleteGrant(
  kernel: Kernel,
  tenantId: string,
  resourceId: string,
  principalId: string,
): Promise<boolean> {
  const rows = await kernel.query(
    `delete from tenantry.resource_acl g
     where g.tenant_id = $1::uuid and g.resource_id = $2::uuid and g.principal_id = $3::uuid returning g.principal_id`,
    [tenantId, resourceId, principalId],
  );
  return rows.length > 0;
}
