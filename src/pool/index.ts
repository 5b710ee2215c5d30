export { TenantClient } from './client.ts';
export { fingerprint } from './fingerprint.ts';
export { createOperatorPool, OperatorPool, type WithoutTenantOptions, withoutTenant } from './operator.ts';
export { createPool, TenantPool } from './pool.ts';
export type {
  MissingContext,
  MultiplexOptions,
  NamingOptions,
  ShadowMiss,
  TenantPoolOptions,
} from './settings.ts';
