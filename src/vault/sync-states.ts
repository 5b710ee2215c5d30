import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted } from '../directory/forbidden.ts';
import { parseInput } from '../directory/input.ts';
import { userOfContext } from '../directory/organizations.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { type SyncState, type SyncStateUpdate, syncStateList, syncStateUpdate } from './schema.ts';
import {
  deleteSyncState,
  insertSyncState,
  listSyncStates,
  selectSyncState,
  updateSyncState,
} from './sync-state-queries.ts';

/** How far a member's mail has been fetched (A1): one's own alone, and gone with the membership. */
export interface SyncStates {
  /** The user's of the context, idle and empty. @throws TNT_CONFLICT when there is one, TNT_FORBIDDEN for no member */
  create(): Promise<SyncState>;
  get(id: string): Promise<SyncState | null>;
  /** The user's of the context. */
  mine(): Promise<SyncState | null>;
  list(options?: { readonly limit?: number; readonly cursor?: string }): Promise<Page<SyncState>>;
  /** @throws TNT_INPUT_INVALID */
  update(id: string, input: SyncStateUpdate): Promise<SyncState | null>;
  delete(id: string): Promise<SyncState | null>;
}

export function createSyncStates(kernel: Kernel): SyncStates {
  const tenant = (): string => currentTenant().tenantId;
  return {
    create: () =>
      write('sync state', 'create', async () =>
        inserted(await insertSyncState(kernel, tenant(), userOfContext()), 'sync state'),
      ),
    get: async (id) => (isId(id) ? selectSyncState(kernel, tenant(), { id }) : null),
    mine: async () => selectSyncState(kernel, tenant(), { userId: userOfContext() }),
    async list(options = {}) {
      const { limit, cursor } = parseInput(syncStateList, options);
      const after = cursor === undefined ? undefined : decodeCursor('sync states', cursor).id;
      const rows = await listSyncStates(kernel, tenant(), after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('sync states', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(syncStateUpdate, input);
      return isId(id) ? write('sync state', 'update', () => updateSyncState(kernel, tenant(), id, values)) : null;
    },
    delete: async (id) => (isId(id) ? deleteSyncState(kernel, tenant(), id) : null),
  };
}
