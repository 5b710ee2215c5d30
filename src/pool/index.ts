export { TenantClient } from './client.ts';
export { fingerprint } from './fingerprint.ts';
export { createPool, TenantPool } from './pool.ts';
export type {
  MissingContext,
  MultiplexOptions,
  NamingOptions,
  ShadowMiss,
  TenantPoolOptions,
} from './settings.ts';
