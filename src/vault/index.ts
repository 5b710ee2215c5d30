export type { DataKeyCacheOptions } from './data-key-cache.ts';
export { createKeyring, generateKey, type Keyring, type KeyringKey } from './keyring.ts';
export { type LoadKeyringOptions, loadKeyring } from './load-keyring.ts';
export * from './schema.ts';
export type { Binding } from './sealed-value.ts';
export { Sealed, Secret } from './secret.ts';
export type { SecretStore, Secrets, SecretVersion } from './secrets.ts';
export { createVault, type Vault, type VaultOptions } from './vault.ts';
export * from './oauth/index.ts';
export { createVaultServices, type VaultServices, type VaultServicesOptions } from './services.ts';
export { createSyncStates, type SyncStates } from './sync-states.ts';
export {
  createVaultRotation,
  type DamagedValue,
  type RotationProgress,
  type RunOptions,
  type VaultRotation,
  type VaultRotationOptions,
  type VaultStatus,
} from './rotation.ts';
export type { SealedColumn } from './sealed-columns.ts';
