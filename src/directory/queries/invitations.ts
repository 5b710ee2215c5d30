import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Invitation, invitationCreate } from '../schema.ts';
import { invitationColumns } from './columns.ts';
import { first } from './rows.ts';

export async function insertInvitation(
  kernel: Kernel,
  tenantId: string,
  tokenHash: Buffer,
  invitedBy: string | undefined,
  input: z.output<typeof invitationCreate>,
): Promise<Invitation | null> {
  return first(
    await kernel.query<Invitation>(
      `insert into tenantry.invitations as i (tenant_id, email, role, role_id, token_hash, invited_by, expires_at)
     values ($1::uuid, $2::text, $3::text, $4::uuid, $5::bytea, $6::uuid, now() + make_interval(secs => $7::float8 * 3600))
     returning ${invitationColumns}`,
      [tenantId, input.email, input.role, input.roleId ?? null, tokenHash, invitedBy ?? null, input.expiresInHours],
    ),
  );
}

/** Expired invitations stay pending until somebody invites the same address again. */
export async function revokeExpired(kernel: Kernel, tenantId: string, email: string): Promise<void> {
  await kernel.query(
    `update tenantry.invitations i set revoked_at = now()
     where i.tenant_id = $1::uuid and i.email_key = lower($2::text) and i.accepted_at is null and i.revoked_at is null
       and i.expires_at <= now()`,
    [tenantId, email],
  );
}

export async function selectInvitation(kernel: Kernel, tenantId: string, id: string): Promise<Invitation | null> {
  return first(
    await kernel.query<Invitation>(
      `select ${invitationColumns} from tenantry.invitations i where i.tenant_id = $1::uuid and i.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function listInvitations(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<Invitation[]> {
  return kernel.query<Invitation>(
    `select ${invitationColumns} from tenantry.invitations i
     where i.tenant_id = $1::uuid and ($2::uuid is null or i.id > $2::uuid) order by i.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

/** Those that the user of the context can accept, in any organization. */
export async function listMyInvitations(kernel: Kernel): Promise<Invitation[]> {
  return kernel.query<Invitation>(
    `select ${invitationColumns} from tenantry.invitations i
     where i.email_key = (select tenantry.caller_email()) and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
     order by i.created_at desc limit 200`,
  );
}

export async function revokeInvitation(kernel: Kernel, tenantId: string, id: string): Promise<Invitation | null> {
  return first(
    await kernel.query<Invitation>(
      `update tenantry.invitations i set revoked_at = coalesce(i.revoked_at, now())
     where i.tenant_id = $1::uuid and i.id = $2::uuid and i.accepted_at is null returning ${invitationColumns}`,
      [tenantId, id],
    ),
  );
}

export interface Acceptance extends Record<string, unknown> {
  readonly status: 'accepted' | 'accepted_before' | 'unknown' | 'other_email' | 'expired';
  readonly tenantId: string | null;
  readonly invitationId: string | null;
}

export async function acceptInvitation(kernel: Kernel, tokenHash: Buffer): Promise<Acceptance | null> {
  return first(
    await kernel.query<Acceptance>(
      `select a.status, a.tenant_id as "tenantId", a.invitation_id as "invitationId" from tenantry.accept_invitation($1::bytea) a`,
      [tokenHash],
    ),
  );
}

export async function invitationByToken(
  kernel: Kernel,
  tokenHash: Buffer,
): Promise<{ tenantId: string; invitationId: string } | null> {
  const [row] = await kernel.query<{ tenantId: string | null; invitationId: string }>(
    `select l.tenant_id as "tenantId", l.invitation_id as "invitationId" from tenantry.invitation_by_token($1::bytea) l`,
    [tokenHash],
  );
  return row === undefined || row.tenantId === null ? null : { tenantId: row.tenantId, invitationId: row.invitationId };
}
