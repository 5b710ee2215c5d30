import { currentTenant, withSystem } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import type { Queryable } from '../database/sql.ts';
import { parseInput } from '../directory/input.ts';
import { decodeTimeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { write } from '../directory/write-error.ts';
import { insertAuditEntry, insertOperatorEntry, listAuditEntries, maintainPartitions } from './queries.ts';
import { type AuditCreate, type AuditEntry, type AuditListOptions, auditCreate, auditList } from './schema.ts';
import { type AuditLogger, auditedFields, type TraceLike } from './telemetry.ts';

export interface AuditOptions {
  /** A pino logger, or what looks like one: gets one JSON line per entry. */
  readonly logger?: AuditLogger;
  /** `trace` of @opentelemetry/api: the active span gets the ids as attributes, the entry gets its trace id. */
  readonly trace?: TraceLike;
}

export interface Audit {
  /**
   * Writes one entry; row, log line and active span carry the same `tenant_id`, `workspace_id` and `resource_id`.
   * Inside a transaction hand in its kernel: the entry then stands or falls with it.
   *
   * @throws TNT_INPUT_INVALID, TNT_CONTEXT_MISSING
   * @example
   * ```ts
   * await kernel.transaction(async (tx) => {
   *   await publish(tx, prompt);
   *   await t.audit.record({ action: 'prompt.published', resourceId: prompt.id }, tx);
   * });
   * ```
   */
  record(entry: AuditCreate, on?: Kernel): Promise<void>;
  /** Newest first. Takes audit.read: without it there is nothing to see. @throws TNT_INPUT_INVALID, TNT_CURSOR_INVALID */
  list(options?: AuditListOptions): Promise<Page<AuditEntry>>;
  /** Makes the partitions of the months to come, once a month or oftener; the dispatcher of events does so by itself. */
  maintain(): Promise<number>;
}

export function createAudit(kernel: Kernel, { logger, trace }: AuditOptions = {}): Audit {
  return {
    async record(entry, on = kernel) {
      const values = parseInput(auditCreate, entry);
      const context = currentTenant();
      const ids = {
        tenantId: context.tenantId,
        workspaceId: values.workspaceId ?? context.workspaceId,
        resourceId: values.resourceId,
      };
      const span = trace?.getActiveSpan();
      const traceId = span?.spanContext().traceId;
      const { action, details, requestId } = values;
      await write('audit entry', 'create', () => insertAuditEntry(on, { ...ids, action, details, requestId, traceId }));
      const fields = auditedFields(ids);
      span?.setAttributes(fields);
      logger?.info(
        {
          ...fields,
          action,
          actor: context.userId ?? context.tenantId,
          ...(requestId === undefined ? {} : { request_id: requestId }),
          ...(traceId === undefined ? {} : { trace_id: traceId }),
        },
        `audit ${action}`,
      );
    },
    async list(options = {}) {
      const { limit, cursor, ...filter } = parseInput(auditList, options);
      const after = cursor === undefined ? undefined : decodeTimeCursor('audit', cursor);
      const rows = await listAuditEntries(kernel, currentTenant().tenantId, filter, after, limit + 1);
      const page = pageOf(rows, limit, (last) => encodeCursor('audit', last.position, last.entry.id));
      return { ...page, items: page.items.map(({ entry }) => entry) };
    },
    maintain: () => withSystem('audit partitions', () => maintainPartitions(kernel)),
  };
}

/** What happened across tenants. */
export interface OperatorAuditEntry {
  readonly reason: string;
  readonly details?: object;
}

/**
 * The hook that withoutTenant takes: writes who crossed tenants and why into tenantry.operator_log, on the operator's own
 * connection and before anything else runs on it. When it fails, so does the crossing.
 */
export function operatorAudit(
  schema = 'tenantry',
  { logger, trace }: AuditOptions = {},
): (connection: Queryable, entry: OperatorAuditEntry) => Promise<void> {
  return async (connection, { reason, details = {} }) => {
    const traceId = trace?.getActiveSpan()?.spanContext().traceId;
    await insertOperatorEntry(connection, schema, { reason, details, traceId });
    logger?.info({ reason, ...(traceId === undefined ? {} : { trace_id: traceId }) }, 'audit operator');
  };
}
