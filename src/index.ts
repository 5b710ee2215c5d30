export * from './audit/index.ts';
export { type Config, type ConfigInput, defineConfig, parseConfig } from './config/config.ts';
export { addTenancy, type Tenancy, type TenantConfig } from './config/tenancy.ts';
export * from './context/index.ts';
export { createKernel, type Kernel, type PoolLike } from './database/kernel.ts';
export {
  assertMigrated,
  type MigrationStatus,
  migrateDown,
  migrateUp,
  migrationScript,
  migrationStatus,
} from './database/migrate.ts';
export { type EmbeddedDatabase, openEmbedded } from './database/open.ts';
export { ident, type Queryable, type Statement } from './database/sql.ts';
export * from './directory/index.ts';
export { type ErrorCode, errorDefinitions, TenantryError } from './errors.ts';
export {
  createDoctor,
  type Doctor,
  type DoctorReport,
  type Finding,
  planFixes,
  renderSarif,
  type Suppression,
} from './isolation/doctor/index.ts';
export * from './isolation/index.ts';
export * from './metering/billing/index.ts';
export * from './metering/limits/index.ts';
export * from './metering/plans/index.ts';
export * from './metering/rate/index.ts';
// the keys' own, smaller one gives way
export type { RateDecision } from './metering/rate/index.ts';
export {
  type Aggregation,
  createUsage,
  type LedgerRow,
  type Metric,
  type StatisticsQuery,
  type Usage,
  type UsageAlert,
  type UsageAmendment,
  type UsageEvent,
  type UsageExportQuery,
  type UsageOptions,
  type UsageOutcome,
  type UsagePeriod,
  type UsageRetraction,
  type UsageSpan,
  type UsageStatistics,
} from './metering/usage/index.ts';
export * from './keys/index.ts';
export * from './outbox/index.ts';
export * from './pool/index.ts';
export * from './resources/index.ts';
export { createTenantry, type Tenantry, type TenantryOptions } from './tenantry.ts';
export * from './vault/index.ts';
export { version } from './version.ts';
