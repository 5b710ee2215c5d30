import { createHash } from 'node:crypto';
import type { Audit } from '../../audit/index.ts';
import { currentContext, currentTenant, withUser } from '../../context/context.ts';
import type { TenantId } from '../../context/types.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { userOfContext } from '../../directory/organizations.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import type { DataKeys } from '../data-keys.ts';
import type { Binding } from '../sealed-value.ts';
import { createProviderClient, type Grant, ProviderRefusal } from './client.ts';
import { createDisconnecter, type Revocation } from './disconnect.ts';
import { type AcrossTenants, type Maintenance, maintain } from './maintenance.ts';
import { checkedProviders, checkedRedirectUris, type OAuthProvider } from './providers.ts';
import { insertState, listConnections, newId, selectToken, stateTenant, takeState, upsertToken } from './queries.ts';
import { createRefresher } from './refresh.ts';
import { type OAuthConnect, type OAuthConnection, type OAuthNamed, oauthConnect, oauthNamed } from './schema.ts';
import { createTenantProviders, type OAuthProviders } from './tenant-providers.ts';
import { type AccessToken, openAccessToken, openRefreshToken, sealTokens } from './tokens.ts';

export interface OAuthOptions {
  /** By name. {@link google} makes Google's. */
  readonly providers?: Readonly<Record<string, OAuthProvider>>;
  /** Addresses of your callback route, as registered with the providers; the first is the usual one. */
  readonly redirectUris: readonly string[];
  /** An access token with less than this left is refreshed, in seconds. Defaults to 300. */
  readonly refreshMarginSeconds?: number;
  /** For each request to a provider, in seconds. Defaults to 10. */
  readonly timeoutSeconds?: number;
  /** How long a user may take at the provider, in seconds. Defaults to 600. */
  readonly stateLifetimeSeconds?: number;
  /** How far the addresses of providers that organizations bring along are trusted. */
  readonly tenantProviders?: {
    /** Allows issuers on private networks. Defaults to false. */
    readonly allowPrivateAddresses?: boolean;
    /** Allows http: on this machine. For tests. Defaults to false. */
    readonly allowInsecure?: boolean;
  };
}

export interface OAuthParts {
  readonly keys: DataKeys;
  readonly audit: Pick<Audit, 'record'>;
  /** The way across tenants, for maintenance. */
  readonly acrossTenants?: AcrossTenants | undefined;
}

/** Connections of members to providers. Every call but `maintain` needs the context of a tenant and a user. */
export interface OAuth {
  /** OpenID providers of an organization's own. */
  readonly providers: OAuthProviders;
  /**
   * Begins: send the user to `url`. The way back is good once, for this user in this organization, and for ten minutes.
   *
   * @throws TNT_INPUT_INVALID, TNT_OAUTH_PROVIDER_UNKNOWN, TNT_OAUTH_REFUSED when the provider does not answer
   */
  connect(input?: OAuthConnect): Promise<{ readonly url: string }>;
  /**
   * Ends what {@link connect} began, in your callback route.
   *
   * @param callbackUrl the URL of the callback's request, with its query
   * @throws TNT_OAUTH_STATE_INVALID, TNT_OAUTH_REFUSED
   */
  finish(
    callbackUrl: string | URL,
  ): Promise<{ readonly connection: OAuthConnection; readonly returnTo: string | null }>;
  /** The organization in which the context's user began, for a callback that does not know it yet. Needs a user alone. */
  tenantOfState(callbackUrl: string | URL): Promise<TenantId | null>;
  /**
   * An access token that is good for a while, refreshed when need be.
   *
   * @throws TNT_NOT_FOUND when not connected, TNT_OAUTH_CONSENT_NEEDED, TNT_OAUTH_UNAVAILABLE
   */
  accessToken(input?: OAuthNamed): Promise<AccessToken>;
  /** Fetches new tokens although the old ones are still good: after a 401 of the provider's API. */
  refresh(input?: OAuthNamed): Promise<AccessToken>;
  get(input?: OAuthNamed): Promise<OAuthConnection | null>;
  /** One's own, in this organization. */
  list(): Promise<OAuthConnection[]>;
  /** Deletes the tokens here and revokes them at the provider; null when there was no connection. */
  disconnect(input?: OAuthNamed): Promise<Revocation | null>;
  /**
   * For a job, every few minutes: revokes what a provider did not take before, keeps idle connections alive, forgets
   * what was begun and never finished.
   *
   * @throws TNT_OPERATOR_UNAVAILABLE without an operator connection
   */
  maintain(options?: { readonly keepAliveDays?: number; readonly limit?: number }): Promise<Maintenance>;
}

const checksBinding = (id: string): Binding => ({ table: 'tenantry.oauth_states', column: 'checks', row: id });
const hashOf = (state: string): Buffer => createHash('sha256').update(state).digest();

export function createOAuth(kernel: Kernel, options: OAuthOptions, { keys, audit, acrossTenants }: OAuthParts): OAuth {
  const configured = checkedProviders(options.providers ?? {});
  const redirectUris = checkedRedirectUris(options.redirectUris);
  const { refreshMarginSeconds = 300, timeoutSeconds = 10, stateLifetimeSeconds = 600 } = options;
  const { allowInsecure = false, allowPrivateAddresses = false } = options.tenantProviders ?? {};
  const client = createProviderClient({ timeoutSeconds, foreign: { allowInsecure, allowPrivateAddresses } });
  const { providers, resolve } = createTenantProviders(kernel, keys, { configured, allowInsecure, audit });
  const refresher = createRefresher(kernel, keys, client, { marginSeconds: refreshMarginSeconds, timeoutSeconds });
  const disconnecter = createDisconnecter(kernel, keys, client, resolve, audit, timeoutSeconds);
  const caller = (): { tenantId: TenantId; userId: string } => ({
    tenantId: currentTenant().tenantId,
    userId: userOfContext(),
  });
  const named = (input: OAuthNamed | undefined): string => parseInput(oauthNamed, input ?? {}).provider;
  const tokenOf = async (input: OAuthNamed | undefined, force: boolean): Promise<AccessToken> => {
    const provider = named(input);
    const { tenantId, userId } = caller();
    const row = await refresher.fresh({ tenantId, userId, provider }, () => resolve(provider), force);
    return openAccessToken(keys, tenantId, row);
  };

  /** Stores what the provider gave. Without a new refresh token the old one stays, if it is the same person's at the same issuer. */
  async function store(
    taken: { provider: string; issuer: string; scopes: readonly string[] },
    grant: Grant,
  ): Promise<OAuthConnection> {
    const { tenantId, userId } = caller();
    const { provider, issuer } = taken;
    return keys.sealing(tenantId, async (sealer) => {
      for (;;) {
        const row = await kernel.transaction(async (tx) => {
          const before = await selectToken(tx, tenantId, userId, provider, 'for update');
          const same =
            before !== null &&
            before.connection.issuer === issuer &&
            before.connection.subject === (grant.subject ?? null);
          const kept =
            same && grant.refreshToken === undefined
              ? await openRefreshToken(keys, tenantId, before, tx).catch(lost)
              : undefined;
          const id = before?.connection.id ?? (await newId(tx));
          const stored = await upsertToken(tx, tenantId, {
            id,
            userId,
            provider,
            issuer,
            ...sealTokens(sealer, id, grant.accessToken, grant.refreshToken ?? kept),
            expiresInSeconds: grant.expiresInSeconds,
            scopes: grant.scopes ?? taken.scopes,
            subject: grant.subject ?? null,
          });
          if (stored === null) return null; // another callback made the row meanwhile: once more, on top of it
          await audit.record(
            { action: 'oauth.connected', resourceId: id, details: { provider, scopes: stored.connection.scopes } },
            tx,
          );
          return stored;
        });
        if (row !== null) return row.connection;
      }
    });
  }

  return {
    providers,
    async connect(input = {}) {
      const { provider: name, redirectUri, scopes, returnTo, parameters } = parseInput(oauthConnect, input);
      const { tenantId, userId } = caller();
      const target = redirectUri ?? String(redirectUris[0]);
      if (!redirectUris.includes(target))
        throw new TenantryError('TNT_INPUT_INVALID', 'redirectUri: is not among oauth.redirectUris.');
      const provider = await resolve(name);
      const wanted = [...new Set(['openid', ...(scopes ?? provider.scopes)])];
      const { url, state, verifier, nonce } = await said(name, () =>
        client.authorization(provider, { redirectUri: target, scopes: wanted, parameters }),
      );
      await write('OAuth state', 'create', () =>
        keys.sealing(tenantId, async (sealer) => {
          const id = await newId(kernel);
          await insertState(kernel, tenantId, {
            id,
            userId,
            stateHash: hashOf(state),
            provider: name,
            issuer: provider.issuer,
            checks: sealer.seal(JSON.stringify([verifier, nonce]), checksBinding(id)),
            redirectUri: target,
            returnTo: returnTo ?? null,
            scopes: wanted,
            lifetimeSeconds: stateLifetimeSeconds,
          });
        }),
      );
      return { url };
    },
    async finish(callbackUrl) {
      const { tenantId, userId } = caller();
      const { state, search } = callbackOf(callbackUrl);
      const taken = await takeState(kernel, tenantId, userId, hashOf(state));
      if (taken === null || !taken.live) throw stateInvalid();
      const provider = await resolve(taken.provider);
      if (provider.issuer !== taken.issuer) throw stateInvalid();
      const checks = await keys.open(tenantId, taken.checks, checksBinding(taken.id));
      const [verifier = '', nonce = ''] = JSON.parse(checks.toString('utf8')) as string[];
      // the address that was sent to the provider, whatever a proxy made of it
      const callback = new URL(taken.redirectUri);
      callback.search = search;
      const grant = await said(taken.provider, () => client.exchange(provider, callback, { state, verifier, nonce }));
      const connection = await write('OAuth connection', 'create', () => store(taken, grant));
      return { connection, returnTo: taken.returnTo };
    },
    async tenantOfState(callbackUrl) {
      const context = currentContext();
      const { state } = callbackOf(callbackUrl);
      const userId = context?.kind === 'user' ? context.userId : userOfContext();
      return (await withUser({ userId }, () => stateTenant(kernel, hashOf(state)))) as TenantId | null;
    },
    accessToken: (input) => tokenOf(input, false),
    refresh: (input) => tokenOf(input, true),
    async get(input) {
      const { tenantId, userId } = caller();
      return (await selectToken(kernel, tenantId, userId, named(input)))?.connection ?? null;
    },
    async list() {
      const { tenantId, userId } = caller();
      return listConnections(kernel, tenantId, userId);
    },
    async disconnect(input) {
      const provider = named(input);
      const { tenantId, userId } = caller();
      return disconnecter.disconnect(tenantId, userId, provider);
    },
    maintain: (limits = {}) =>
      maintain(acrossTenants, {
        ...limits,
        retry: (tenantId, id) => disconnecter.retry(tenantId, id),
        refresh: (provider) => tokenOf({ provider }, true),
      }),
  };
}

/** A refresh token that does not open any more is none: the user is just giving a new consent. */
function lost(error: unknown): undefined {
  if (!(error instanceof TenantryError) || error.code !== 'TNT_SECRET_DAMAGED') throw error;
  return undefined;
}

/** The state of a callback; given twice it is none. */
function callbackOf(callbackUrl: string | URL): { state: string; search: string } {
  const text = String(callbackUrl);
  const url = URL.canParse(text, 'https://callback.invalid') ? new URL(text, 'https://callback.invalid') : undefined;
  const states = url?.searchParams.getAll('state') ?? [];
  if (url === undefined || states.length !== 1 || states[0] === undefined || states[0].length > 500)
    throw stateInvalid();
  return { state: states[0], search: url.search };
}

function stateInvalid(): TenantryError {
  return new TenantryError(
    'TNT_OAUTH_STATE_INVALID',
    'This way back from a provider is unknown, used, expired, or of somebody else.',
  );
}

/** What a provider refused, as an error of ours: its code and no word more. */
async function said<T>(provider: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    if (!(error instanceof ProviderRefusal)) throw error;
    throw new TenantryError('TNT_OAUTH_REFUSED', `${provider} refused, or did not answer: ${error.reason}.`, {
      details: { provider, error: error.reason, ...(error.status === undefined ? {} : { status: error.status }) },
    });
  }
}
