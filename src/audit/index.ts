export { type Audit, type AuditOptions, createAudit, type OperatorAuditEntry, operatorAudit } from './audit.ts';
export * from './schema.ts';
export type { AuditLogger, SpanLike, TraceLike } from './telemetry.ts';
