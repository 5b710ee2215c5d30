import { z } from 'zod';
import { pageFields } from '../directory/page.ts';

export const auditCreate = z.strictObject({
  /** What happened, as `feature.action`. */
  action: z.string().trim().min(1).max(255),
  resourceId: z.guid().optional(),
  /** The context's unless given. */
  workspaceId: z.guid().optional(),
  /** What a reader needs to know. Never a secret. */
  details: z.record(z.string(), z.unknown()).default({}),
  requestId: z.string().min(1).max(255).optional(),
});
export const auditEntrySchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  /** The organization's own number of the entry: from 1, without gaps. */
  seq: z.int(),
  /** When it was committed. */
  at: z.date(),
  action: z.string(),
  actorPrincipalId: z.guid().nullable(),
  workspaceId: z.guid().nullable(),
  resourceId: z.guid().nullable(),
  details: z.record(z.string(), z.unknown()),
  requestId: z.string().nullable(),
  traceId: z.string().nullable(),
});
export const auditList = z.strictObject({
  ...pageFields,
  resourceId: z.guid().optional(),
  actorPrincipalId: z.guid().optional(),
});

export const auditExport = z.strictObject({
  /** JSON Lines can be verified outside of the database; CSV is for people. */
  format: z.enum(['jsonl', 'csv']).default('jsonl'),
  /** From this instant on. */
  from: z.date().optional(),
  /** Up to this instant, itself excluded. */
  to: z.date().optional(),
});
export const auditRetain = z.strictObject({
  /** Whole months that stay, beside the current one. 1 to 1200. */
  months: z.int().min(1).max(1200),
});

export type AuditExportOptions = z.input<typeof auditExport>;
export type AuditRetain = z.input<typeof auditRetain>;
export type AuditCreate = z.input<typeof auditCreate>;
export type AuditEntry = z.infer<typeof auditEntrySchema>;
export type AuditListOptions = z.input<typeof auditList>;
