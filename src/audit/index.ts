export {
  type Audit,
  type AuditCrossing,
  type AuditOptions,
  createAudit,
  type OperatorAuditEntry,
  operatorAudit,
} from './audit.ts';
export type { AuditProblem, AuditProblemKind, ChainEnd } from './chain.ts';
export { type AuditCheckpoint, checkpointText, type KeyInput } from './checkpoint.ts';
export { type VerifyExportOptions, verifyAuditExport } from './export.ts';
export type { RetainedMonth } from './retention.ts';
export * from './schema.ts';
export type { AuditLogger, SpanLike, TraceLike } from './telemetry.ts';
export type { AuditReport } from './verify.ts';
export { type AuditWatch, createAuditWatch, type WatchedTable, type WatchOptions } from './watch.ts';
