/** The part of a pino logger that is used. */
export interface AuditLogger {
  info(fields: object, message: string): void;
}

/** The part of a span of @opentelemetry/api that is used. */
export interface SpanLike {
  setAttributes(attributes: Record<string, string>): unknown;
  spanContext(): { traceId: string };
}

/** The part of `trace` of @opentelemetry/api that is used: hand in `trace` itself. Nothing is loaded otherwise. */
export interface TraceLike {
  getActiveSpan(): SpanLike | undefined;
}

export interface AuditedIds {
  readonly tenantId: string;
  readonly workspaceId: string | undefined;
  readonly resourceId: string | undefined;
}

/** The three ids under the one spelling that row, log line and span share. */
export function auditedFields({ tenantId, workspaceId, resourceId }: AuditedIds): Record<string, string> {
  return {
    tenant_id: tenantId,
    ...(workspaceId === undefined ? {} : { workspace_id: workspaceId }),
    ...(resourceId === undefined ? {} : { resource_id: resourceId }),
  };
}
