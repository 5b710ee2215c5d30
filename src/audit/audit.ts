import { currentTenant, restoreContext, serializeContext, withSystem } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import type { Queryable } from '../database/sql.ts';
import { parseInput } from '../directory/input.ts';
import { decodeTimeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { write } from '../directory/write-error.ts';
import { TenantryError } from '../errors.ts';
import { type AuditCheckpoint, createSigner, type KeyInput, trustedKeys } from './checkpoint.ts';
import { csvHeader, csvLine, jsonLine, parseCheckpoint } from './export.ts';
import {
  callerMay,
  insertAuditEntry,
  insertCheckpoint,
  insertOperatorEntry,
  listAuditEntries,
  readChain,
  selectCheckpoints,
  selectHead,
  selectSpan,
} from './queries/entries.ts';
import { maintainPartitions } from './queries/retention.ts';
import { type RetainedMonth, retainMonths } from './retention.ts';
import {
  type AuditCreate,
  type AuditEntry,
  type AuditExportOptions,
  type AuditListOptions,
  type AuditRetain,
  auditCreate,
  auditExport,
  auditList,
  auditRetain,
} from './schema.ts';
import { type AuditLogger, auditedFields, type TraceLike } from './telemetry.ts';
import { type AuditReport, verifyChain } from './verify.ts';

export interface AuditOptions {
  /** A pino logger, or what looks like one: gets one JSON line per entry. */
  readonly logger?: AuditLogger;
  /** `trace` of @opentelemetry/api: the active span gets the ids as attributes, the entry gets its trace id. */
  readonly trace?: TraceLike;
  /**
   * Signs checkpoints: an Ed25519 private key as PEM. Defaults to `TENANTRY_AUDIT_KEY`; keep it away from the database and
   * from those who can change it.
   */
  readonly signingKey?: KeyInput;
  /** Public keys (PEM) of checkpoints that are believed beside the signing key's own: those of before. */
  readonly publicKeys?: readonly KeyInput[];
}

/** The way across tenants, as withoutTenant gives it. */
export type AuditCrossing = <T>(reason: string, fn: (kernel: Kernel) => Promise<T>) => Promise<T>;

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
  /**
   * Checks the organization's whole chain: gaps, forks, edited, moved, removed and slipped-in entries, and with checkpoints
   * also a log that was rewritten from somewhere on. Takes audit.read. Nothing the database computes is believed.
   *
   * @param options.checkpoints copies that were kept outside; those in the database are used as well
   * @throws TNT_FORBIDDEN, TNT_AUDIT_KEY_MISSING when a key cannot be read
   * @example
   * ```ts
   * const report = await withTenant({ tenantId, userId }, () => t.audit.verify({ checkpoints: kept }));
   * if (!report.ok) console.log(report.problems);
   * ```
   */
  verify(options?: { readonly checkpoints?: readonly (AuditCheckpoint | string)[] }): Promise<AuditReport>;
  /**
   * Signs the present end of the chain, stores that and returns it: keep a copy outside. Null: there is no entry yet.
   * Takes audit.read. The chain is not verified here.
   *
   * @throws TNT_AUDIT_KEY_MISSING, TNT_FORBIDDEN
   */
  checkpoint(): Promise<AuditCheckpoint | null>;
  /** The checkpoints in the database, oldest first. Takes audit.read. */
  checkpoints(): Promise<AuditCheckpoint[]>;
  /** The log line by line, oldest first, without holding it in memory. Takes audit.read. @throws TNT_INPUT_INVALID, TNT_FORBIDDEN */
  export(options?: AuditExportOptions): AsyncGenerator<string>;
  /**
   * Drops whole months that are older than asked for, after each organization's piece in them has been verified and its
   * end signed: verification goes on from there. Crosses tenants, on the operator's connection.
   *
   * @throws TNT_AUDIT_BROKEN (nothing is dropped), TNT_AUDIT_KEY_MISSING, TNT_OPERATOR_UNAVAILABLE
   */
  retain(options: AuditRetain): Promise<RetainedMonth[]>;
  /** Makes the partitions of the months to come, once a month or oftener; the dispatcher of events does so by itself. */
  maintain(): Promise<number>;
}

export function createAudit(
  kernel: Kernel,
  { logger, trace, signingKey, publicKeys = [] }: AuditOptions = {},
  acrossTenants?: AuditCrossing,
): Audit {
  const signer = (): ReturnType<typeof createSigner> => createSigner(signingKey ?? process.env['TENANTRY_AUDIT_KEY']);
  const trusted = (): ReturnType<typeof trustedKeys> => {
    const own = signingKey ?? process.env['TENANTRY_AUDIT_KEY'];
    return trustedKeys([...publicKeys, ...(own === undefined || own === '' ? [] : [signer().publicKey])]);
  };
  const assertMayRead = async (): Promise<string> => {
    const { tenantId } = currentTenant();
    if (await callerMay(kernel, 'audit.read')) return tenantId;
    throw new TenantryError('TNT_FORBIDDEN', 'This context lacks the permission audit.read.', {
      details: { permission: 'audit.read' },
    });
  };
  async function* lines(options: AuditExportOptions): AsyncGenerator<string> {
    const { format, from, to } = parseInput(auditExport, options);
    const tenantId = await assertMayRead();
    const span = await selectSpan(kernel, tenantId, from, to);
    if (format === 'csv') yield csvHeader;
    if (span === undefined) return;
    for await (const entry of readChain(kernel, tenantId, span))
      yield format === 'csv' ? csvLine(entry) : jsonLine(entry);
  }
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
          actor: context.userId ?? context.endUserId ?? context.apiKeyId ?? context.tenantId,
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
    async verify({ checkpoints = [] } = {}) {
      const tenantId = await assertMayRead();
      const keys = trusted();
      const given = checkpoints.map((one) => parseCheckpoint(one));
      const stored = await selectCheckpoints(kernel, tenantId);
      const head = await selectHead(kernel);
      const entries = readChain(kernel, tenantId, { toSeq: head.seq });
      return verifyChain({ tenantId, entries, checkpoints: [...stored, ...given], keys, head });
    },
    async checkpoint() {
      const tenantId = await assertMayRead();
      const { sign } = signer();
      const { seq, hash, atMicros } = await selectHead(kernel);
      if (atMicros === null) return null;
      const createdAt = new Date().toISOString();
      const signed = sign({ tenantId, kind: 'point', seq, hash, atMicros, createdAt });
      await write('audit checkpoint', 'create', () => insertCheckpoint(kernel, signed));
      return signed;
    },
    async checkpoints() {
      return selectCheckpoints(kernel, await assertMayRead());
    },
    export(options = {}) {
      return inContext(lines(options));
    },
    async retain(options) {
      const { months } = parseInput(auditRetain, options);
      if (acrossTenants === undefined)
        throw new TenantryError(
          'TNT_OPERATOR_UNAVAILABLE',
          'Retention crosses tenants, and there is no operator connection.',
        );
      return acrossTenants('audit retention', (owner) => retainMonths(owner, months, signer(), trusted()));
    },
    maintain: () => withSystem('audit partitions', () => maintainPartitions(kernel)),
  };
}

/** Whoever reads the lines, and wherever: they are read as who asked for them. */
function inContext(lines: AsyncGenerator<string>): AsyncGenerator<string> {
  const context = serializeContext();
  return (async function* () {
    for (;;) {
      const next = await restoreContext(context, () => lines.next());
      if (next.done === true) return;
      yield next.value;
    }
  })();
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
