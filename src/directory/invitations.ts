import { createHash, randomBytes } from 'node:crypto';
import { currentTenant, withUser } from '../context/context.ts';
import type { TenantId } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import { userOfContext } from './organizations.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  acceptInvitation,
  insertInvitation,
  invitationByToken,
  listInvitations,
  listMyInvitations,
  revokeExpired,
  revokeInvitation,
  selectInvitation,
} from './queries/invitations.ts';
import {
  type Invitation,
  type InvitationCreate,
  invitationCreate,
  isId,
  type ListOptions,
  listSchema,
} from './schema.ts';
import { write } from './write-error.ts';

export interface Invitations {
  /**
   * Invites an address. The token is returned once and stored as a hash: send it to that address.
   *
   * @throws TNT_INPUT_INVALID, TNT_CONFLICT when one is pending, TNT_FORBIDDEN without members.write
   */
  create(input: InvitationCreate): Promise<{ invitation: Invitation; token: string }>;
  get(id: string): Promise<Invitation | null>;
  list(options?: ListOptions): Promise<Page<Invitation>>;
  /** What the user of the context can accept, in any organization. */
  listMine(): Promise<Invitation[]>;
  /** @throws TNT_FORBIDDEN */
  revoke(id: string): Promise<Invitation | null>;
  /** Before any context: what a token names, or null. */
  byToken(token: string): Promise<{ tenantId: string; invitationId: string } | null>;
  /**
   * Makes the user of the context a member. The address must be the invited one; of twenty at once one succeeds.
   *
   * @throws TNT_NOT_FOUND, TNT_FORBIDDEN for another address, TNT_CONFLICT when accepted before, revoked or expired
   */
  accept(token: string): Promise<{ tenantId: TenantId; invitationId: string }>;
}

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

export function createInvitations(kernel: Kernel): Invitations {
  return {
    async create(input) {
      const values = parseInput(invitationCreate, input);
      const { tenantId, userId } = currentTenant();
      const token = randomBytes(32).toString('base64url');
      const invitation = await write('invitation', 'create', () =>
        kernel.transaction(async (tx) => {
          await revokeExpired(tx, tenantId, values.email);
          return inserted(await insertInvitation(tx, tenantId, hashOf(token), userId, values), 'invitation');
        }),
      );
      return { invitation, token };
    },
    async get(id) {
      return isId(id) ? selectInvitation(kernel, currentTenant().tenantId, id) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('invitations', cursor).id;
      const rows = await listInvitations(kernel, currentTenant().tenantId, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('invitations', '', last.id));
    },
    listMine: () => withUser({ userId: userOfContext() }, () => listMyInvitations(kernel)),
    async revoke(id) {
      const { tenantId } = currentTenant();
      if (!isId(id)) return null;
      return write('invitation', 'update', async () => {
        const revoked = await revokeInvitation(kernel, tenantId, id);
        if (revoked !== null) return revoked;
        const there = await selectInvitation(kernel, tenantId, id);
        if (there?.status === 'accepted')
          throw new TenantryError('TNT_CONFLICT', 'The invitation was accepted before.');
        return orForbidden(null, async () => there, 'invitation', 'update');
      });
    },
    byToken: (token) => invitationByToken(kernel, hashOf(token)),
    async accept(token) {
      const result = await withUser({ userId: userOfContext() }, () =>
        write('invitation', 'update', () => acceptInvitation(kernel, hashOf(token))),
      );
      if (result?.status === 'accepted' && result.tenantId !== null && result.invitationId !== null) {
        return { tenantId: result.tenantId as TenantId, invitationId: result.invitationId };
      }
      throw refusal(result?.status);
    },
  };
}

function refusal(status: string | undefined): TenantryError {
  switch (status) {
    case 'other_email':
      return new TenantryError('TNT_FORBIDDEN', 'The invitation is addressed to somebody else.', {
        hint: 'Sign in with the address that was invited.',
      });
    case 'accepted_before':
      return new TenantryError('TNT_CONFLICT', 'The invitation was accepted before.', {
        hint: 'Sign in and choose the organization.',
      });
    case 'expired':
      return new TenantryError('TNT_CONFLICT', 'The invitation was revoked or has expired.', {
        hint: 'Ask an administrator of the organization for a new one.',
      });
    default:
      return new TenantryError('TNT_NOT_FOUND', 'There is no such invitation.');
  }
}
