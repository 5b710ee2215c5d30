import type { z } from 'zod';
import type { Kernel } from '../database/kernel.ts';
import { assignments } from '../directory/queries/update.ts';
import type { Resource, resourceCreate, resourceUpdate } from './schema.ts';
import { first } from '../directory/queries/rows.ts';

export const resourceColumns = `r.tenant_id as "tenantId", r.id, r.type, r.name, r.workspace_id as "workspaceId",
  r.owner_principal_id as "ownerPrincipalId", r.visibility, r.data, r.created_at as "createdAt", r.updated_at as "updatedAt"`;

export async function insertResource(
  kernel: Kernel,
  tenantId: string,
  ownerPrincipalId: string,
  input: z.output<typeof resourceCreate>,
): Promise<Resource | undefined> {
  const [row] = await kernel.query<Resource>(
    `insert into tenantry.resources as r (tenant_id, workspace_id, type, owner_principal_id, visibility, name, data)
     values ($1::uuid, $2::uuid, $3::text, $4::uuid, $5::text, $6::text, $7::jsonb) returning ${resourceColumns}`,
    [
      tenantId,
      input.workspaceId,
      input.type,
      ownerPrincipalId,
      input.visibility,
      input.name,
      JSON.stringify(input.data),
    ],
  );
  return row;
}

export async function selectResource(kernel: Kernel, tenantId: string, id: string): Promise<Resource | null> {
  return first(
    await kernel.query<Resource>(
      `select ${resourceColumns} from tenantry.resources r where r.tenant_id = $1::uuid and r.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function updateResource(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof resourceUpdate>,
): Promise<Resource | null> {
  const set = assignments(
    input,
    {
      name: ['name', 'text'],
      data: ['data', 'jsonb'],
      workspaceId: ['workspace_id', 'uuid'],
      ownerPrincipalId: ['owner_principal_id', 'uuid'],
      visibility: ['visibility', 'text'],
    },
    3,
  );
  if (set === undefined) return selectResource(kernel, tenantId, id);
  return first(
    await kernel.query<Resource>(
      `update tenantry.resources r set ${set.text} where r.tenant_id = $1::uuid and r.id = $2::uuid returning ${resourceColumns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteResource(kernel: Kernel, tenantId: string, id: string): Promise<Resource | null> {
  return first(
    await kernel.query<Resource>(
      `delete from tenantry.resources r where r.tenant_id = $1::uuid and r.id = $2::uuid returning ${resourceColumns}`,
      [tenantId, id],
    ),
  );
}

export async function insertResourceType(kernel: Kernel, name: string, description: string): Promise<void> {
  await kernel.query(
    `insert into tenantry.resource_types (name, description) values ($1::text, $2::text)
     on conflict (name) do update set description = excluded.description where not resource_types.built_in`,
    [name, description],
  );
}

export async function selectResourceTypes(
  kernel: Kernel,
): Promise<{ name: string; description: string; builtIn: boolean }[]> {
  return kernel.query(
    'select t.name, t.description, t.built_in as "builtIn" from tenantry.resource_types t order by t.built_in desc, t.name',
  );
}
