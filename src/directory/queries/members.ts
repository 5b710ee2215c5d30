import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Member, memberCreate, memberUpdate } from '../schema.ts';
import { instantText, memberColumns } from './columns.ts';
import { assignments } from './update.ts';
import { first } from './rows.ts';

const from = 'from tenantry.org_members m join tenantry.users u on u.id = m.user_id';

export async function insertMember(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof memberCreate>,
): Promise<void> {
  await kernel.query(
    `insert into tenantry.org_members (tenant_id, user_id, role, role_id, name)
     values ($1::uuid, $2::uuid, $3::text, $4::uuid, $5::text)`,
    [tenantId, input.userId, input.role, input.roleId ?? null, input.name ?? null],
  );
}

export async function selectMember(kernel: Kernel, tenantId: string, userId: string): Promise<Member | null> {
  return first(
    await kernel.query<Member>(
      `select ${memberColumns} ${from} where m.tenant_id = $1::uuid and m.user_id = $2::uuid`,
      [tenantId, userId],
    ),
  );
}

export async function listMembers(
  kernel: Kernel,
  tenantId: string,
  after: { value: string; id: string } | undefined,
  limit: number,
): Promise<{ member: Member; position: string }[]> {
  const rows = await kernel.query<Member & { position: string }>(
    `select ${memberColumns}, ${instantText('m.created_at')} as position ${from}
     where m.tenant_id = $1::uuid
       ${after === undefined ? '' : 'and (m.created_at, m.user_id) > ($3::timestamptz, $4::uuid)'}
     order by m.created_at, m.user_id limit $2::int`,
    after === undefined ? [tenantId, limit] : [tenantId, limit, after.value, after.id],
  );
  return rows.map(({ position, ...member }) => ({ member, position }));
}

export async function updateMember(
  kernel: Kernel,
  tenantId: string,
  userId: string,
  input: z.output<typeof memberUpdate>,
): Promise<boolean> {
  const set = assignments(
    input,
    {
      role: ['role', 'text'],
      roleId: ['role_id', 'uuid'],
      name: ['name', 'text'],
      gmailConnected: ['gmail_connected', 'boolean'],
    },
    3,
  );
  if (set === undefined) return true;
  const rows = await kernel.query(
    `update tenantry.org_members m set ${set.text} where m.tenant_id = $1::uuid and m.user_id = $2::uuid returning m.user_id`,
    [tenantId, userId, ...set.values],
  );
  return rows.length > 0;
}

export async function deleteMember(kernel: Kernel, tenantId: string, userId: string): Promise<boolean> {
  const rows = await kernel.query(
    'delete from tenantry.org_members m where m.tenant_id = $1::uuid and m.user_id = $2::uuid returning m.user_id',
    [tenantId, userId],
  );
  return rows.length > 0;
}
