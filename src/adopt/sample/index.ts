export { createSampleShop, type SampleShop, type SampleShopOptions } from './generate.ts';
export { fixedQuery, leakyQuery, type RefundRow, readOrder } from './leak.ts';
export { shopTables } from './schema.ts';
export type { LatencyStats } from './latencies.ts';
export { type Deployment, startWorkload, type Workload, type WorkloadOptions, type WorkloadStats } from './workload.ts';
