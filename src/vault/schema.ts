import { z } from 'zod';
import { pageFields } from '../directory/page.ts';

export const secretPut = z.strictObject({
  name: z.string().trim().min(1).max(255),
  /** At most 64 KiB. */
  value: z.string().max(65_536),
  description: z.string().max(1000).nullish(),
  /** Earlier values are kept up to this many versions, 1 to 1000. Defaults to 10, then to what was said last. */
  keepVersions: z.int().min(1).max(1000).optional(),
});
/** A secret without its value. */
export const secretInfoSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  name: z.string(),
  description: z.string().nullable(),
  /** Counts up with each new value. */
  version: z.int(),
  keepVersions: z.int(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export const secretList = z.strictObject(pageFields);

export const syncStateUpdate = z.strictObject({
  lastHistoryId: z.string().max(255).nullish(),
  lastSyncAt: z.date().nullish(),
  syncStatus: z.enum(['idle', 'syncing', 'error']).optional(),
  errorMessage: z.string().max(10_000).nullish(),
  emailsSynced: z.int().min(0).max(2_147_483_647).optional(),
});
export const syncStateSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  userId: z.guid(),
  lastHistoryId: z.string().nullable(),
  lastSyncAt: z.date().nullable(),
  syncStatus: z.enum(['idle', 'syncing', 'error']),
  errorMessage: z.string().nullable(),
  emailsSynced: z.int(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export const syncStateList = z.strictObject(pageFields);

export type SecretPut = z.input<typeof secretPut>;
export type SecretInfo = z.infer<typeof secretInfoSchema>;
export type SyncStateUpdate = z.input<typeof syncStateUpdate>;
export type SyncState = z.infer<typeof syncStateSchema>;
