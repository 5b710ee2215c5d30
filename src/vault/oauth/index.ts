export type { Revocation } from './disconnect.ts';
export type { AcrossTenants, Maintenance } from './maintenance.ts';
export { createOAuth, type OAuth, type OAuthOptions, type OAuthParts } from './oauth.ts';
export { type GoogleOptions, google, type OAuthProvider } from './providers.ts';
export * from './schema.ts';
export type { OAuthProviders } from './tenant-providers.ts';
export type { AccessToken } from './tokens.ts';
