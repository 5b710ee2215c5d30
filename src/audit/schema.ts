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

export type AuditCreate = z.input<typeof auditCreate>;
export type AuditEntry = z.infer<typeof auditEntrySchema>;
export type AuditListOptions = z.input<typeof auditList>;
