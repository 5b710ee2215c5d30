import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Account, EndUser, endUserUpdate } from '../namespace-schema.ts';
import { first } from './rows.ts';
import { assignments } from './update.ts';

const columns = `e.tenant_id as "tenantId", e.id, e.namespace_id as "namespaceId", e.external_id as "externalId", e.name, e.metadata,
  e.created_at as "createdAt", e.updated_at as "updatedAt"`;

// Without a namespace the organization's default one; the policies confine what a key may name.
const namespaceOr = (parameter: string): string =>
  `coalesce(${parameter}::uuid, tenantry.current_namespace(), (select o.default_namespace_id from tenantry.organizations o where o.id = $1::uuid))`;

export async function selectEndUserByExternalId(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  externalId: string,
): Promise<EndUser | null> {
  return first(
    await kernel.query<EndUser>(
      `select ${columns} from tenantry.end_users e
       where e.tenant_id = $1::uuid and e.namespace_id = ${namespaceOr('$2')} and e.external_id = $3::text`,
      [tenantId, namespaceId ?? null, externalId],
    ),
  );
}

/** Nothing when there is one already, or when another transaction has just made it. */
export async function insertEndUser(
  kernel: Kernel,
  tenantId: string,
  input: { namespaceId?: string | undefined; externalId: string; name: string | null; metadata: object },
): Promise<EndUser | null> {
  return first(
    await kernel.query<EndUser>(
      `insert into tenantry.end_users as e (tenant_id, namespace_id, external_id, name, metadata)
       values ($1::uuid, ${namespaceOr('$2')}, $3::text, $4::text, $5::jsonb)
       on conflict (tenant_id, namespace_id, external_id) do nothing returning ${columns}`,
      [tenantId, input.namespaceId ?? null, input.externalId, input.name, JSON.stringify(input.metadata)],
    ),
  );
}

export async function selectEndUser(kernel: Kernel, tenantId: string, id: string): Promise<EndUser | null> {
  return first(
    await kernel.query<EndUser>(
      `select ${columns} from tenantry.end_users e where e.tenant_id = $1::uuid and e.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function listEndUsers(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  after: string | undefined,
  limit: number,
): Promise<EndUser[]> {
  // two texts and not an "or": each has its own index
  const where = namespaceId === undefined ? '' : 'and e.namespace_id = $4::uuid';
  return kernel.query<EndUser>(
    `select ${columns} from tenantry.end_users e
     where e.tenant_id = $1::uuid and ($2::uuid is null or e.id > $2::uuid) ${where} order by e.id limit $3::int`,
    [tenantId, after ?? null, limit, ...(namespaceId === undefined ? [] : [namespaceId])],
  );
}

export async function updateEndUser(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof endUserUpdate>,
): Promise<EndUser | null> {
  const set = assignments(input, { name: ['name', 'text'], metadata: ['metadata', 'jsonb'] }, 3);
  if (set === undefined) return selectEndUser(kernel, tenantId, id);
  return first(
    await kernel.query<EndUser>(
      `update tenantry.end_users e set ${set.text} where e.tenant_id = $1::uuid and e.id = $2::uuid returning ${columns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteEndUser(kernel: Kernel, tenantId: string, id: string): Promise<EndUser | null> {
  return first(
    await kernel.query<EndUser>(
      `delete from tenantry.end_users e where e.tenant_id = $1::uuid and e.id = $2::uuid returning ${columns}`,
      [tenantId, id],
    ),
  );
}

/** A principal's account, or null when it is none. */
export async function selectAccount(kernel: Kernel, tenantId: string, id: string): Promise<Account | null> {
  return first(
    await kernel.query<Account & Record<string, unknown>>(
      `select a.id, a.user_type as "userType", a.organization_id as "organizationId",
         a.developer_organization_id as "developerOrganizationId", a.namespace_id as "namespaceId", a.external_id as "externalId"
       from tenantry.accounts a
       where a.id = $2::uuid and (a.organization_id = $1::uuid or a.developer_organization_id = $1::uuid)`,
      [tenantId, id],
    ),
  );
}
