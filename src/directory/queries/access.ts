import type { Kernel } from '../../database/kernel.ts';

export async function callerCan(kernel: Kernel, permission: string): Promise<boolean> {
  const [row] = await kernel.query<{ can: boolean }>('select tenantry.caller_can($1::text) as can', [permission]);
  return row?.can === true;
}

const columnOf = { read: 'readers', write: 'writers', admin: 'admins' } as const;

export async function callerCanOnResource(
  kernel: Kernel,
  tenantId: string,
  resourceId: string,
  access: keyof typeof columnOf,
): Promise<boolean> {
  const [row] = await kernel.query<{ can: boolean }>(
    `select exists (select 1 from tenantry.resources r where r.tenant_id = $1::uuid and r.id = $2::uuid
       and r.${columnOf[access]} && (select tenantry.caller_principals())) as can`,
    [tenantId, resourceId],
  );
  return row?.can === true;
}
