export type { UsageOptions } from './recorder.ts';
export * from './schema.ts';
export { createUsage, type Usage } from './usage.ts';
