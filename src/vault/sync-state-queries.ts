import type { z } from 'zod';
import type { Kernel } from '../database/kernel.ts';
import { first } from '../directory/queries/rows.ts';
import { assignments } from '../directory/queries/update.ts';
import type { SyncState, syncStateUpdate } from './schema.ts';

type SyncStateRow = SyncState & Record<string, unknown>;

const syncStateColumns = `s.tenant_id as "tenantId", s.id, s.user_id as "userId", s.last_history_id as "lastHistoryId",
  s.last_sync_at as "lastSyncAt", s.sync_status as "syncStatus", s.error_message as "errorMessage", s.emails_synced as "emailsSynced",
  s.created_at as "createdAt", s.updated_at as "updatedAt"`;

const columns = {
  lastHistoryId: ['last_history_id', 'text'],
  lastSyncAt: ['last_sync_at', 'timestamptz'],
  syncStatus: ['sync_status', 'text'],
  errorMessage: ['error_message', 'text'],
  emailsSynced: ['emails_synced', 'int'],
} as const;

export async function insertSyncState(kernel: Kernel, tenantId: string, userId: string): Promise<SyncState | null> {
  return first(
    await kernel.query<SyncStateRow>(
      `insert into tenantry.sync_state as s (tenant_id, user_id) values ($1::uuid, $2::uuid) returning ${syncStateColumns}`,
      [tenantId, userId],
    ),
  );
}

export async function selectSyncState(
  kernel: Kernel,
  tenantId: string,
  key: { readonly id: string } | { readonly userId: string },
): Promise<SyncState | null> {
  const [condition, value] = 'id' in key ? ['s.id = $2::uuid', key.id] : ['s.user_id = $2::uuid', key.userId];
  return first(
    await kernel.query<SyncStateRow>(
      `select ${syncStateColumns} from tenantry.sync_state s where s.tenant_id = $1::uuid and ${condition}`,
      [tenantId, value],
    ),
  );
}

export async function listSyncStates(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<SyncState[]> {
  return kernel.query<SyncStateRow>(
    `select ${syncStateColumns} from tenantry.sync_state s
     where s.tenant_id = $1::uuid and ($2::uuid is null or s.id > $2::uuid) order by s.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

export async function updateSyncState(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof syncStateUpdate>,
): Promise<SyncState | null> {
  const set = assignments(input, columns, 3);
  if (set === undefined) return selectSyncState(kernel, tenantId, { id });
  return first(
    await kernel.query<SyncStateRow>(
      `update tenantry.sync_state s set ${set.text} where s.tenant_id = $1::uuid and s.id = $2::uuid returning ${syncStateColumns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteSyncState(kernel: Kernel, tenantId: string, id: string): Promise<SyncState | null> {
  return first(
    await kernel.query<SyncStateRow>(
      `delete from tenantry.sync_state s where s.tenant_id = $1::uuid and s.id = $2::uuid returning ${syncStateColumns}`,
      [tenantId, id],
    ),
  );
}
