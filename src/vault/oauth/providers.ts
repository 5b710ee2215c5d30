import { z } from 'zod';
import { TenantryError } from '../../errors.ts';

/** A provider that the application has a client at. */
export interface OAuthProvider {
  /** Issuer of the provider: its configuration is read from `<issuer>/.well-known/openid-configuration`. */
  readonly issuer: string;
  readonly clientId: string;
  /** Absent for a public client. */
  readonly clientSecret?: string | undefined;
  /** Asked for at each connect unless that says otherwise. `openid` is always asked for. */
  readonly scopes: readonly string[];
  /** Sent with the user to the provider (`access_type`, `prompt`). */
  readonly authorizationParameters?: Readonly<Record<string, string>> | undefined;
  /** Allows http: for an issuer on this machine (127.0.0.1, ::1, localhost). For tests. */
  readonly allowInsecure?: boolean | undefined;
}

/** What a connection needs to know of its provider, wherever that is written down. */
export interface ResolvedProvider extends OAuthProvider {
  readonly name: string;
  /** Brought along by an organization: its addresses are not trusted. */
  readonly foreign: boolean;
}

export interface GoogleOptions {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Beside `openid` and `email`; for Gmail `https://www.googleapis.com/auth/gmail.readonly`. */
  readonly scopes?: readonly string[];
  /** For tests against a local provider. */
  readonly issuer?: string;
  readonly allowInsecure?: boolean;
}

/**
 * Google, with what it takes to be given a refresh token: `access_type=offline` and a consent page each time, because
 * Google gives one at the first consent only.
 */
export function google({
  clientId,
  clientSecret,
  scopes = [],
  issuer,
  allowInsecure = false,
}: GoogleOptions): OAuthProvider {
  return {
    issuer: issuer ?? 'https://accounts.google.com',
    clientId,
    clientSecret,
    scopes: ['openid', 'email', ...scopes],
    authorizationParameters: { access_type: 'offline', prompt: 'consent', include_granted_scopes: 'true' },
    allowInsecure,
  };
}

export const providerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, { error: 'must be 1 to 63 of a-z, 0-9, _ and -' });

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]']);
const maxUrl = 2000;

/** @throws TNT_CONFIG_INVALID naming provider and field */
export function checkedProviders(providers: Readonly<Record<string, OAuthProvider>>): Map<string, ResolvedProvider> {
  const map = new Map<string, ResolvedProvider>();
  for (const [name, provider] of Object.entries(providers)) {
    if (!providerName.safeParse(name).success)
      throw invalid(`oauth.providers: the name "${name}" is not 1 to 63 of a-z, 0-9, _ and -`);
    if (issuerProblem(provider.issuer, provider.allowInsecure === true) !== undefined)
      throw invalid(`oauth.providers.${name}.issuer: must be an https URL without query and fragment`);
    if (provider.clientId === '') throw invalid(`oauth.providers.${name}.clientId: must not be empty`);
    map.set(name, { ...provider, name, foreign: false });
  }
  return map;
}

/** What is wrong with an issuer's address, in words; undefined when nothing is. */
export function issuerProblem(issuer: string, allowInsecure: boolean): string | undefined {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  if (url === undefined || issuer.length > maxUrl) return 'is no URL';
  if (url.username !== '' || url.password !== '') return 'carries a user or password';
  if (url.search !== '' || url.hash !== '') return 'has a query or fragment';
  if (url.protocol === 'https:') return undefined;
  return url.protocol === 'http:' && allowInsecure && loopback.has(url.hostname)
    ? undefined
    : 'is not reached by https';
}

/** @throws TNT_CONFIG_INVALID */
export function checkedRedirectUris(uris: readonly string[]): readonly string[] {
  for (const uri of uris) {
    if (
      !URL.canParse(uri) ||
      !/^https?:$/.test(new URL(uri).protocol) ||
      new URL(uri).search !== '' ||
      new URL(uri).hash !== ''
    )
      throw invalid('oauth.redirectUris: each must be an http or https URL without query and fragment');
  }
  if (uris.length === 0) throw invalid('oauth.redirectUris: name the address of your callback route');
  return uris;
}

/** A path on one's own site: never an address elsewhere, however it is spelled. */
export function isLocalPath(path: string): boolean {
  if (!/^\/(?![/\\])/.test(path) || path.length > maxUrl) return false;
  for (const character of path) if (character < ' ' || character === '\\' || character === '\x7f') return false;
  return new URL(path, 'https://own.invalid').origin === 'https://own.invalid';
}

const invalid = (message: string): TenantryError => new TenantryError('TNT_CONFIG_INVALID', `${message}.`);
