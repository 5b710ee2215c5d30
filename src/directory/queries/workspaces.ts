import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Principal, Workspace, workspaceCreate, workspaceUpdate } from '../schema.ts';
import { workspaceColumns } from './columns.ts';
import { assignments } from './update.ts';
import { first } from './rows.ts';

export async function insertWorkspace(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof workspaceCreate>,
): Promise<Workspace | undefined> {
  const [row] = await kernel.query<Workspace>(
    `insert into tenantry.workspaces as w (tenant_id, kind, name, team_id, editor_principal_id)
     values ($1::uuid, $2::text, $3::text, $4::uuid, $5::uuid) returning ${workspaceColumns}`,
    [tenantId, input.kind, input.name, 'teamId' in input ? input.teamId : null, input.editorPrincipalId ?? null],
  );
  return row;
}

/** Twenty at once make one. */
export async function ensurePersonalWorkspace(kernel: Kernel, tenantId: string, userId: string): Promise<void> {
  await kernel.query(
    `insert into tenantry.workspaces (tenant_id, kind, name, user_id) values ($1::uuid, 'personal', 'Personal', $2::uuid)
     on conflict (tenant_id, user_id) do nothing`,
    [tenantId, userId],
  );
}

export async function selectPersonalWorkspace(
  kernel: Kernel,
  tenantId: string,
  userId: string,
): Promise<Workspace | null> {
  return first(
    await kernel.query<Workspace>(
      `select ${workspaceColumns} from tenantry.workspaces w where w.tenant_id = $1::uuid and w.user_id = $2::uuid`,
      [tenantId, userId],
    ),
  );
}

export async function selectWorkspace(kernel: Kernel, tenantId: string, id: string): Promise<Workspace | null> {
  return first(
    await kernel.query<Workspace>(
      `select ${workspaceColumns} from tenantry.workspaces w where w.tenant_id = $1::uuid and w.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function listWorkspaces(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<Workspace[]> {
  return kernel.query<Workspace>(
    `select ${workspaceColumns} from tenantry.workspaces w
     where w.tenant_id = $1::uuid and ($2::uuid is null or w.id > $2::uuid) order by w.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

export interface SwitcherRow extends Record<string, unknown> {
  readonly organizationId: string;
  readonly organizationName: string;
  readonly organizationSlug: string;
  readonly organizationKind: 'personal' | 'standard';
  readonly workspaceId: string | null;
  readonly workspaceName: string | null;
  readonly workspaceKind: 'personal' | 'team' | 'organization' | null;
}

/** Every workspace of every organization of the user of the context: personal ones first. */
export async function listSwitcher(kernel: Kernel): Promise<SwitcherRow[]> {
  return kernel.query<SwitcherRow>(
    `select o.id as "organizationId", o.name as "organizationName", o.slug as "organizationSlug", o.kind as "organizationKind",
       w.id as "workspaceId", w.name as "workspaceName", w.kind as "workspaceKind"
     from tenantry.organizations o left join tenantry.workspaces w on w.tenant_id = o.id
     order by o.kind, o.name, o.id, w.kind = 'personal' desc, w.kind = 'organization' desc, w.name, w.id limit 1000`,
  );
}

export async function updateWorkspace(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof workspaceUpdate>,
): Promise<Workspace | null> {
  const set = assignments(input, { name: ['name', 'text'], editorPrincipalId: ['editor_principal_id', 'uuid'] }, 3);
  if (set === undefined) return selectWorkspace(kernel, tenantId, id);
  return first(
    await kernel.query<Workspace>(
      `update tenantry.workspaces w set ${set.text} where w.tenant_id = $1::uuid and w.id = $2::uuid returning ${workspaceColumns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteWorkspace(kernel: Kernel, tenantId: string, id: string): Promise<Workspace | null> {
  return first(
    await kernel.query<Workspace>(
      `delete from tenantry.workspaces w where w.tenant_id = $1::uuid and w.id = $2::uuid returning ${workspaceColumns}`,
      [tenantId, id],
    ),
  );
}

const principalSelect = `select p.tenant_id as "tenantId", p.id, p.kind,
    coalesce(t.name, r.name, s.name, m.name, u.name, u.email, case when p.kind = 'organization' then o.name end) as name,
    p.removed_at as "removedAt"
  from tenantry.principals p
  left join tenantry.organizations o on o.id = p.id
  left join tenantry.teams t on t.tenant_id = p.tenant_id and t.id = p.id
  left join tenantry.roles r on r.tenant_id = p.tenant_id and r.id = p.id
  left join tenantry.system_roles s on s.id = p.id
  left join tenantry.org_members m on m.tenant_id = p.tenant_id and m.user_id = p.id
  left join tenantry.users u on u.id = m.user_id`;

export async function selectPrincipal(kernel: Kernel, tenantId: string, id: string): Promise<Principal | null> {
  return first(
    await kernel.query<Principal>(`${principalSelect} where p.tenant_id = $1::uuid and p.id = $2::uuid`, [
      tenantId,
      id,
    ]),
  );
}

export async function listPrincipals(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<Principal[]> {
  return kernel.query<Principal>(
    `${principalSelect} where p.tenant_id = $1::uuid and ($2::uuid is null or p.id > $2::uuid) order by p.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

export async function callerPrincipals(kernel: Kernel): Promise<string[]> {
  const rows = await kernel.query<{ ids: string[] }>('select tenantry.caller_principals() as ids');
  return rows.flatMap((row) => row.ids);
}
