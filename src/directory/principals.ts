import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { parseInput } from './input.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import { callerPrincipals, listPrincipals, selectPrincipal } from './queries/workspaces.ts';
import { isId, type ListOptions, listSchema, type Principal } from './schema.ts';

/** What a grant can name. Rows come and go with their subjects: there is nothing to create or delete here. */
export interface Principals {
  get(id: string): Promise<Principal | null>;
  list(options?: ListOptions): Promise<Page<Principal>>;
  /** The caller's own: tenant, user, teams and roles. Empty without a tenant, or for a user who is no member of it. */
  mine(): Promise<string[]>;
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
  };
}
