export { clientAddress, networks } from './addresses.ts';
export { type KeyUse, keyCan } from './admit.ts';
export type { KeyOff, VerifiedKey } from './entry.ts';
export { isKey, type KeyKind, type KeyPrefix, keyPattern } from './format.ts';
export { type CreatedKey, createKeys, type Keys } from './keys.ts';
export {
  type AuthenticateReporter,
  createLeakHandler,
  githubReporter,
  type LeakEndpointOptions,
  type PublicKeyOfReporter,
  sharedSecretReporter,
} from './leak-endpoint.ts';
export type { LeakReport, Leaks } from './leaks.ts';
export type { KeyCacheOptions, KeyRateLimiter, KeysOptions } from './options.ts';
export { ownConnection } from './own-connection.ts';
export type { Pepper } from './pepper.ts';
export * from './schema.ts';
export { keyRateHeaders, type VerifyOptions } from './verify.ts';
