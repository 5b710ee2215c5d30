export { exportLines, type LedgerRange, ledgerPages } from './export.ts';
export type { LedgerRow } from './export-queries.ts';
export {
  listAccounts,
  listAlerts,
  listMetrics,
  type Metric,
  pruneUsage,
  recountUsage,
  selectDifferences,
  selectHeaviest,
  type UsageAcross,
  type UsageAlert,
  type UsageDifference,
  upsertMetric,
} from './read-queries.ts';
export type { UsageOptions } from './recorder.ts';
export * from './schema.ts';
export { type UsageSpan, type UsageStatistics, usageStatistics } from './statistics.ts';
export { createUsage, type Usage } from './usage.ts';
