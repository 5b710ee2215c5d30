import type * as OpenidClient from 'openid-client';
import { loadOptional } from '../../database/optional.ts';
import { TenantryError } from '../../errors.ts';
import { type GuardOptions, guardedFetch } from './guarded-fetch.ts';
import type { ResolvedProvider } from './providers.ts';

type Client = typeof OpenidClient;
type Configuration = OpenidClient.Configuration;

/** What a provider answered to a code or a refresh token. */
export interface Grant {
  readonly accessToken: string;
  /** Absent: the one of before stays. */
  readonly refreshToken: string | undefined;
  readonly expiresInSeconds: number;
  /** Absent: as asked for, or as before (RFC 6749, sections 5.1 and 6). */
  readonly scopes: readonly string[] | undefined;
  readonly subject: string | undefined;
}

/** How a provider said no. Its own words stay out: they may repeat what was sent. */
export class ProviderRefusal extends Error {
  override readonly name = 'ProviderRefusal';
  /** `invalid_grant`, `access_denied`, …, or our word for what happened: `timeout`, `unreachable`, `invalid_response`. */
  readonly reason: string;
  readonly status: number | undefined;

  constructor(reason: string, status?: number) {
    super(`The provider answered ${reason}${status === undefined ? '' : ` (HTTP ${status})`}.`);
    this.reason = reason;
    this.status = status;
  }
}

export interface Authorization {
  readonly url: string;
  readonly state: string;
  readonly verifier: string;
  readonly nonce: string;
}

export interface ProviderClient {
  authorization(
    provider: ResolvedProvider,
    request: { redirectUri: string; scopes: readonly string[]; parameters: Readonly<Record<string, string>> },
  ): Promise<Authorization>;
  /** @throws ProviderRefusal */
  exchange(provider: ResolvedProvider, callback: URL, checks: Omit<Authorization, 'url'>): Promise<Grant>;
  /** @throws ProviderRefusal */
  refresh(provider: ResolvedProvider, refreshToken: string): Promise<Grant>;
  /** False when the provider offers no revocation. @throws ProviderRefusal */
  revoke(provider: ResolvedProvider, token: string): Promise<boolean>;
}

/** Where a provider says nothing about an access token's life. */
const assumedLifetimeSeconds = 3600;
const keepConfigurationMs = 3_600_000;

export interface ProviderClientOptions {
  /** For each request to a provider, in seconds. */
  readonly timeoutSeconds: number;
  /** How far addresses that organizations bring along are trusted. */
  readonly foreign: GuardOptions;
}

/** Speaks to providers through openid-client, which is loaded at first use. */
export function createProviderClient({ timeoutSeconds, foreign }: ProviderClientOptions): ProviderClient {
  let loaded: Promise<Client> | undefined;
  const load = (): Promise<Client> => (loaded ??= loadOptional(() => import('openid-client'), 'openid-client'));
  const known = new Map<string, { readonly at: number; readonly configuration: Promise<Configuration> }>();

  async function discover(client: Client, provider: ResolvedProvider): Promise<Configuration> {
    const insecure = provider.foreign ? foreign.allowInsecure : provider.allowInsecure === true;
    const configuration = await client.discovery(
      new URL(provider.issuer),
      provider.clientId,
      undefined,
      provider.clientSecret === undefined ? client.None() : client.ClientSecretBasic(provider.clientSecret),
      {
        timeout: timeoutSeconds,
        ...(insecure ? { execute: [client.allowInsecureRequests] } : {}),
        ...(provider.foreign ? { [client.customFetch]: guardedFetch(foreign) } : {}),
      },
    );
    const { authorization_endpoint: endpoint } = configuration.serverMetadata();
    // the user's browser is sent there
    if (endpoint !== undefined && !endpoint.startsWith('https:') && !(insecure && endpoint.startsWith('http:')))
      throw new ProviderRefusal('invalid_response');
    return configuration;
  }

  async function configured(provider: ResolvedProvider): Promise<[Client, Configuration]> {
    const client = await load();
    const key = JSON.stringify([provider.issuer, provider.clientId, provider.clientSecret, provider.foreign]);
    let entry = known.get(key);
    if (entry === undefined || Date.now() - entry.at > keepConfigurationMs) {
      entry = { at: Date.now(), configuration: discover(client, provider) };
      if (known.size >= 1000) known.clear();
      known.set(key, entry);
      entry.configuration.catch(() => known.delete(key));
    }
    return [client, await entry.configuration];
  }

  /** Runs one exchange with the provider; whatever goes wrong comes out without the words of anybody. */
  async function speak<T>(
    provider: ResolvedProvider,
    fn: (client: Client, configuration: Configuration) => Promise<T>,
  ): Promise<T> {
    try {
      return await fn(...(await configured(provider)));
    } catch (error) {
      throw refusalOf(error);
    }
  }

  return {
    authorization: (provider, { redirectUri, scopes, parameters }) =>
      speak(provider, async (client, configuration) => {
        const [state, verifier, nonce] = [client.randomState(), client.randomPKCECodeVerifier(), client.randomNonce()];
        const url = client.buildAuthorizationUrl(configuration, {
          // a refresh token is given after consent only (OpenID Connect Core, section 11)
          ...(scopes.includes('offline_access') ? { prompt: 'consent' } : {}),
          ...provider.authorizationParameters,
          ...parameters,
          redirect_uri: redirectUri,
          scope: scopes.join(' '),
          state,
          nonce,
          code_challenge: await client.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
        });
        return { url: url.href, state, verifier, nonce };
      }),
    exchange: (provider, callback, { state, verifier, nonce }) =>
      speak(provider, async (client, configuration) =>
        grantOf(
          await client.authorizationCodeGrant(configuration, callback, {
            expectedState: state,
            expectedNonce: nonce,
            pkceCodeVerifier: verifier,
          }),
        ),
      ),
    refresh: (provider, refreshToken) =>
      speak(provider, async (client, configuration) =>
        grantOf(await client.refreshTokenGrant(configuration, refreshToken)),
      ),
    revoke: (provider, token) =>
      speak(provider, async (client, configuration) => {
        if (configuration.serverMetadata().revocation_endpoint === undefined) return false;
        await client.tokenRevocation(configuration, token).catch((error: unknown) => {
          const refusal = refusalOf(error);
          // Google says so of a token that is revoked already (RFC 7009, section 2.2, would have it say 200)
          if (!(refusal instanceof ProviderRefusal && refusal.reason === 'invalid_token')) throw refusal;
        });
        return true;
      }),
  };
}

function grantOf(response: OpenidClient.TokenEndpointResponse & OpenidClient.TokenEndpointResponseHelpers): Grant {
  const lifetime = response.expires_in ?? assumedLifetimeSeconds;
  return {
    accessToken: response.access_token,
    refreshToken: response.refresh_token,
    expiresInSeconds: Math.max(0, Math.min(lifetime, 10 * 365 * 86_400)),
    scopes: response.scope?.split(' ').filter((scope) => scope !== ''),
    subject: response.claims()?.sub,
  };
}

/** An error of openid-client, fetch or the guard, without its causes: they hold responses, tokens and codes. */
function refusalOf(error: unknown): Error {
  if (error instanceof TenantryError || error instanceof ProviderRefusal) return error;
  const facts = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown;
    code?: unknown;
    error?: unknown;
    status?: unknown;
    cause?: unknown;
  };
  if (facts.cause instanceof TenantryError) return facts.cause;
  const status = typeof facts.status === 'number' ? facts.status : statusOf(facts.cause);
  if (typeof facts.error === 'string' && /^[a-z_]{1,64}$/.test(facts.error))
    return new ProviderRefusal(facts.error, status);
  if (facts.code === 'OAUTH_TIMEOUT' || facts.name === 'TimeoutError' || facts.name === 'AbortError')
    return new ProviderRefusal('timeout');
  if (status !== undefined && status >= 400)
    return new ProviderRefusal(status >= 500 ? 'server_error' : 'refused', status);
  if (typeof facts.code === 'string' && facts.code.startsWith('OAUTH_')) return new ProviderRefusal('invalid_response');
  return new ProviderRefusal('unreachable');
}

const statusOf = (cause: unknown): number | undefined => (cause instanceof Response ? cause.status : undefined);
