import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { parseInput } from './input.ts';
import type { Account } from './namespace-schema.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import { selectAccount } from './queries/end-users.ts';
import { callerPrincipals, listPrincipals, selectPrincipal } from './queries/workspaces.ts';
import { isId, type ListOptions, listSchema, type Principal } from './schema.ts';

/** What a grant can name. Rows come and go with their subjects: there is nothing to create or delete here. */
export interface Principals {
  get(id: string): Promise<Principal | null>;
  list(options?: ListOptions): Promise<Page<Principal>>;
  /** The caller's own: tenant, user, teams and roles. Empty without a tenant, or for a user who is no member of it. */
  mine(): Promise<string[]>;
  /**
   * Who a user or end user is here: DEVELOPER (owns the organization: made it, or administers it longest), TEAM_MEMBER or
   * END_USER (a customer of the organization). Null for anybody else.
   */
  account(id: string): Promise<Account | null>;
}

export function createPrincipals(kernel: Kernel): Principals {
  return {
    async get(id) {
      return isId(id) ? selectPrincipal(kernel, currentTenant().tenantId, id) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('principals', cursor).id;
      const rows = await listPrincipals(kernel, currentTenant().tenantId, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('principals', '', last.id));
    },
    mine: () => callerPrincipals(kernel),
    async account(id) {
      return isId(id) ? selectAccount(kernel, currentTenant().tenantId, id) : null;
    },
  };
}
