import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Acl, Namespace, NamespaceSettings, namespaceCreate, namespaceUpdate } from '../namespace-schema.ts';
import { first } from './rows.ts';
import { assignments } from './update.ts';

const columns = `n.tenant_id as "tenantId", n.id, n.name, n.environment, n.active, n.restricted, n.limits,
  n.created_at as "createdAt", n.updated_at as "updatedAt"`;

export async function insertNamespace(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof namespaceCreate>,
): Promise<Namespace | undefined> {
  const [row] = await kernel.query<Namespace>(
    `insert into tenantry.namespaces as n (tenant_id, name, environment, active, limits)
     values ($1::uuid, $2::text, $3::text, $4::boolean, $5::jsonb) returning ${columns}`,
    [tenantId, input.name, input.environment, input.active, JSON.stringify(input.limits)],
  );
  return row;
}

export async function selectNamespace(kernel: Kernel, tenantId: string, id: string): Promise<Namespace | null> {
  return first(
    await kernel.query<Namespace>(
      `select ${columns} from tenantry.namespaces n where n.tenant_id = $1::uuid and n.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function selectNamespaceByName(kernel: Kernel, tenantId: string, name: string): Promise<Namespace | null> {
  return first(
    await kernel.query<Namespace>(
      `select ${columns} from tenantry.namespaces n where n.tenant_id = $1::uuid and n.name = $2::text`,
      [tenantId, name],
    ),
  );
}

export async function listNamespaces(
  kernel: Kernel,
  tenantId: string,
  filter: { environment?: string | undefined; active?: boolean | undefined },
  after: string | undefined,
  limit: number,
): Promise<Namespace[]> {
  return kernel.query<Namespace>(
    `select ${columns} from tenantry.namespaces n
     where n.tenant_id = $1::uuid and ($2::uuid is null or n.id > $2::uuid)
       and ($3::text is null or n.environment = $3::text) and ($4::boolean is null or n.active = $4::boolean)
     order by n.id limit $5::int`,
    [tenantId, after ?? null, filter.environment ?? null, filter.active ?? null, limit],
  );
}

export async function updateNamespace(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof namespaceUpdate>,
): Promise<Namespace | null> {
  const set = assignments(
    input,
    {
      name: ['name', 'text'],
      environment: ['environment', 'text'],
      active: ['active', 'boolean'],
      limits: ['limits', 'jsonb'],
    },
    3,
  );
  if (set === undefined) return selectNamespace(kernel, tenantId, id);
  return first(
    await kernel.query<Namespace>(
      `update tenantry.namespaces n set ${set.text} where n.tenant_id = $1::uuid and n.id = $2::uuid returning ${columns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteNamespace(kernel: Kernel, tenantId: string, id: string): Promise<Namespace | null> {
  return first(
    await kernel.query<Namespace>(
      `delete from tenantry.namespaces n where n.tenant_id = $1::uuid and n.id = $2::uuid returning ${columns}`,
      [tenantId, id],
    ),
  );
}

/** Active, and among those that the organization allows. */
export async function namespaceUsable(kernel: Kernel, tenantId: string, id: string): Promise<boolean> {
  const rows = await kernel.query<{ usable: boolean }>(
    'select tenantry.namespace_usable($1::uuid, $2::uuid) as usable',
    [tenantId, id],
  );
  return rows[0]?.usable === true;
}

export async function selectNamespaceSettings(kernel: Kernel, tenantId: string): Promise<NamespaceSettings | null> {
  const row = first(
    await kernel.query<{ default: string | null; allowed: string; listed: string[] }>(
      `select o.default_namespace_id as default, o.allowed_namespaces as allowed,
         array(select n.id from tenantry.namespaces n where n.tenant_id = o.id and n.listed order by n.id) as listed
       from tenantry.organizations o where o.id = $1::uuid`,
      [tenantId],
    ),
  );
  return row && { defaultNamespaceId: row.default, allowedNamespaceIds: row.allowed === 'all' ? 'all' : row.listed };
}

/** Whether the organization could be changed. */
export async function updateDefaultNamespace(kernel: Kernel, tenantId: string, id: string | null): Promise<boolean> {
  const rows = await kernel.query(
    'update tenantry.organizations o set default_namespace_id = $2::uuid where o.id = $1::uuid returning o.id',
    [tenantId, id],
  );
  return rows.length > 0;
}

export async function updateAllowedNamespaces(
  kernel: Kernel,
  tenantId: string,
  allowed: 'all' | 'listed',
): Promise<boolean> {
  const rows = await kernel.query(
    'update tenantry.organizations o set allowed_namespaces = $2::text where o.id = $1::uuid returning o.id',
    [tenantId, allowed],
  );
  return rows.length > 0;
}

/** Lists exactly these; returns how many of them there are. */
export async function updateListedNamespaces(
  kernel: Kernel,
  tenantId: string,
  ids: readonly string[],
): Promise<number> {
  const rows = await kernel.query(
    `with changed as (
       update tenantry.namespaces n set listed = not n.listed
       where n.tenant_id = $1::uuid and n.listed <> (n.id = any ($2::uuid[])) returning n.id)
     select n.id from tenantry.namespaces n where n.tenant_id = $1::uuid and n.id = any ($2::uuid[])`,
    [tenantId, ids],
  );
  return rows.length;
}

export async function selectAcl(kernel: Kernel, tenantId: string, namespaceId: string | null): Promise<Acl> {
  const rows = await kernel.query<{ id: string; read: boolean; write: boolean }>(
    `select a.principal_id as id, a.can_read as read, a.can_write as write from tenantry.directory_acl a
     where a.tenant_id = $1::uuid and a.namespace_id is not distinct from $2::uuid order by a.principal_id`,
    [tenantId, namespaceId],
  );
  return Object.fromEntries(rows.map(({ id, read, write }) => [id, { read, write }]));
}

/** Replaces the whole map. */
export async function replaceAcl(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | null,
  acl: Acl,
): Promise<void> {
  const entries = Object.entries(acl);
  await kernel.query(
    `delete from tenantry.directory_acl a
     where a.tenant_id = $1::uuid and a.namespace_id is not distinct from $2::uuid and a.principal_id <> all ($3::uuid[])`,
    [tenantId, namespaceId, entries.map(([id]) => id)],
  );
  if (entries.length === 0) return;
  await kernel.query(
    `insert into tenantry.directory_acl (tenant_id, namespace_id, principal_id, can_read, can_write)
     select $1::uuid, $2::uuid, e.id, e.r, e.w from unnest($3::uuid[], $4::boolean[], $5::boolean[]) e (id, r, w) order by e.id
     on conflict (tenant_id, principal_id, namespace_id) do update set can_read = excluded.can_read, can_write = excluded.can_write`,
    [
      tenantId,
      namespaceId,
      entries.map(([id]) => id),
      entries.map(([, { read }]) => read),
      entries.map(([, { write }]) => write),
    ],
  );
}

export async function updateRestricted(
  kernel: Kernel,
  tenantId: string,
  id: string,
  restricted: boolean,
): Promise<boolean> {
  const rows = await kernel.query(
    'update tenantry.namespaces n set restricted = $3::boolean where n.tenant_id = $1::uuid and n.id = $2::uuid returning n.id',
    [tenantId, id, restricted],
  );
  return rows.length > 0;
}
