import { currentTenant, withUser } from '../context/context.ts';
import type { TenantId, UserId } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import { decodeTimeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import { deleteMember, insertMember, listMembers, selectMember, updateMember } from './queries/members.ts';
import {
  isId,
  type ListOptions,
  listSchema,
  type Member,
  type MemberCreate,
  type MemberUpdate,
  memberCreate,
  memberUpdate,
} from './schema.ts';
import { write } from './write-error.ts';

export interface Members {
  /**
   * Turns a claim (a header, a subdomain) into ids that are safe for withTenant: the user is a member.
   *
   * @throws TNT_NOT_A_MEMBER, also when there is no such organization
   */
  verify(claim: { tenantId: string; userId: string }): Promise<{ tenantId: TenantId; userId: UserId }>;
  /** @throws TNT_INPUT_INVALID, TNT_CONFLICT, TNT_NOT_FOUND, TNT_FORBIDDEN without members.write or for a role above one's own */
  create(input: MemberCreate): Promise<Member>;
  get(userId: string): Promise<Member | null>;
  list(options?: ListOptions): Promise<Page<Member>>;
  /** @throws TNT_FORBIDDEN, TNT_LAST_ADMIN */
  update(userId: string, input: MemberUpdate): Promise<Member | null>;
  /**
   * Ends a membership, one's own or with members.write another's. Tokens and sync state go along; resources stay with
   * the removed principal until somebody else owns them. @throws TNT_FORBIDDEN, TNT_LAST_ADMIN
   */
  delete(userId: string): Promise<Member | null>;
}

export function createMembers(kernel: Kernel): Members {
  return {
    async verify({ tenantId, userId }) {
      const member =
        isId(tenantId) && isId(userId)
          ? await withUser({ userId }, () => selectMember(kernel, tenantId, userId))
          : null;
      if (member === null)
        throw new TenantryError('TNT_NOT_A_MEMBER', 'The user is not a member of this organization.');
      return { tenantId: member.tenantId as TenantId, userId: member.userId as UserId };
    },
    async create(input) {
      const values = parseInput(memberCreate, input);
      const { tenantId } = currentTenant();
      return write('member', 'create', async () => {
        await insertMember(kernel, tenantId, values);
        return inserted(await selectMember(kernel, tenantId, values.userId), 'member');
      });
    },
    async get(userId) {
      return isId(userId) ? selectMember(kernel, currentTenant().tenantId, userId) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeTimeCursor('members', cursor);
      const rows = await listMembers(kernel, currentTenant().tenantId, after, limit + 1);
      const page = pageOf(rows, limit, (last) => encodeCursor('members', last.position, last.member.userId));
      return { ...page, items: page.items.map(({ member }) => member) };
    },
    async update(userId, input) {
      const values = parseInput(memberUpdate, input);
      const { tenantId } = currentTenant();
      if (!isId(userId)) return null;
      const look = (): Promise<Member | null> => selectMember(kernel, tenantId, userId);
      return write('member', 'update', async () => {
        const done = await updateMember(kernel, tenantId, userId, values);
        return orForbidden(done ? await look() : null, look, 'member', 'update');
      });
    },
    async delete(userId) {
      const { tenantId } = currentTenant();
      if (!isId(userId)) return null;
      return write('member', 'delete', async () => {
        const member = await selectMember(kernel, tenantId, userId);
        if (member === null) return null;
        if (await deleteMember(kernel, tenantId, userId)) return member;
        return orForbidden(null, () => selectMember(kernel, tenantId, userId), 'member', 'delete');
      });
    },
  };
}
