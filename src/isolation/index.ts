export * from './declaration.ts';
export {
  createIsolation,
  type EnforceOptions,
  type Isolation,
  type IsolationOptions,
  type ShadowOptions,
} from './isolation.ts';
export { type ModeOptions, planMode } from './plan-mode.ts';
export { planProtect, type ProtectOptions } from './plan-protect.ts';
export { parseTableName, readTableFacts, type TableFacts } from './facts.ts';
export type { MissStatus, ShadowReportRow } from './shadow-report.ts';
export type { TableStatus } from './status.ts';
export { createShadowRecorder, type MissLike, type RecorderOptions, type ShadowRecorder } from './recorder.ts';
export type { Explanation, ExplainRequest, Finding } from './explanation.ts';
export { copyFrom, copyRows, type CopyRowsOptions } from './copy.ts';
export type { CopyFormat } from './copy-format.ts';
export { type LeakyIndex, readLeakyIndexes } from './leakproof.ts';
