import type { Kernel } from '../database/kernel.ts';
import { assignments } from '../directory/queries/update.ts';
import type { Prompt } from './schema.ts';
import { first } from '../directory/queries/rows.ts';

type PromptFields = Pick<Prompt, 'body' | 'variables' | 'settings'>;

export async function insertPrompt(kernel: Kernel, tenantId: string, id: string, fields: PromptFields): Promise<void> {
  await kernel.query(
    `insert into tenantry.prompts (tenant_id, resource_id, body, variables, settings)
     values ($1::uuid, $2::uuid, $3::text, $4::text[], $5::jsonb)`,
    [tenantId, id, fields.body, fields.variables, JSON.stringify(fields.settings)],
  );
}

export async function selectPrompt(kernel: Kernel, tenantId: string, id: string): Promise<Prompt | null> {
  return first(
    await kernel.query<Prompt>(
      `select r.tenant_id as "tenantId", r.id, r.name, r.workspace_id as "workspaceId", r.owner_principal_id as "ownerPrincipalId",
       r.visibility, r.created_at as "createdAt", r.updated_at as "updatedAt", p.body, p.variables, p.settings
     from tenantry.resources r join tenantry.prompts p on p.tenant_id = r.tenant_id and p.resource_id = r.id
     where r.tenant_id = $1::uuid and r.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function updatePrompt(
  kernel: Kernel,
  tenantId: string,
  id: string,
  fields: { [K in keyof PromptFields]: PromptFields[K] | undefined },
): Promise<boolean> {
  const set = assignments(
    fields,
    { body: ['body', 'text'], variables: ['variables', 'text[]'], settings: ['settings', 'jsonb'] },
    3,
  );
  if (set === undefined) return true;
  const rows = await kernel.query(
    `update tenantry.prompts p set ${set.text} where p.tenant_id = $1::uuid and p.resource_id = $2::uuid returning p.resource_id`,
    [tenantId, id, ...set.values],
  );
  return rows.length > 0;
}
