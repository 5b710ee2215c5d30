import { sqlStateOf } from '../../database/database-error.ts';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import type { DataKeys, Sealer } from '../data-keys.ts';
import { type Grant, type ProviderClient, ProviderRefusal } from './client.ts';
import type { ResolvedProvider } from './providers.ts';
import { holdLock, selectToken, type TokenRow, updateFailed, updateNeedsConsent, updateRefreshed } from './queries.ts';
import { consentNeeded, notConnected, openRefreshToken, sealTokens } from './tokens.ts';

export interface RefreshOptions {
  /** An access token with less than this left is refreshed, in seconds. */
  readonly marginSeconds: number;
  /** For each request to the provider, in seconds. */
  readonly timeoutSeconds: number;
}

/** Refusals after which the refresh token is worth nothing: only the user can help. */
const final = new Set([
  'invalid_grant',
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
  'no_refresh_token',
  'subject_changed',
]);

interface Connected {
  readonly tenantId: string;
  readonly userId: string;
  readonly provider: string;
}

/** What came of one look under the lock. */
type Outcome = { readonly row: TokenRow } | { readonly error: TenantryError };

export interface Refresher {
  /** A row whose access token is good; refreshed when less than the margin is left, or when `force` says so. */
  fresh(connected: Connected, resolve: () => Promise<ResolvedProvider>, force?: boolean): Promise<TokenRow>;
}

/**
 * One refresh at a time per connection: in this process by a shared promise (one connection to the database, however
 * many wait), among processes by a row lock that is held while the provider answers. Whoever gets the lock reads again.
 */
export function createRefresher(
  kernel: Kernel,
  keys: DataKeys,
  client: ProviderClient,
  { marginSeconds, timeoutSeconds }: RefreshOptions,
): Refresher {
  const underWay = new Map<string, Promise<TokenRow>>();

  async function refreshed(
    connected: Connected,
    provider: ResolvedProvider,
    seen: TokenRow,
    force: boolean,
  ): Promise<TokenRow> {
    const { tenantId, userId } = connected;
    return keys.sealing(tenantId, async (sealer) => {
      let answered: Answered | undefined;
      const attempt = async (tx: Kernel): Promise<Outcome> => {
        await holdLock(tx, 2 * timeoutSeconds + 1); // reading the provider's configuration, and asking it
        // while the token of before is still good nobody needs to wait for the one who fetches the next
        const mayPass = !force && answered === undefined && seen.secondsLeft > timeoutSeconds;
        const row = await selectToken(
          tx,
          tenantId,
          userId,
          connected.provider,
          mayPass ? 'for update skip locked' : 'for update',
        );
        if (row === null) return mayPass ? { row: seen } : { error: notConnected(connected.provider) };
        if (answered === undefined) {
          const known = withoutAsking(row, seen, force);
          if (known !== undefined) return known;
          answered = await ask(tx, row, provider);
        }
        return settle(tx, tenantId, sealer, row, answered, force);
      };
      const outcome = await withRetries(
        () => kernel.transaction(attempt),
        () => answered !== undefined,
      ).catch(async (error: unknown): Promise<Outcome> => {
        if (sqlStateOf(error) !== '55P03') throw error;
        const row = await selectToken(kernel, tenantId, userId, connected.provider); // another process takes too long
        return row !== null && row.secondsLeft > 0 && !force
          ? { row }
          : { error: unavailable(connected.provider, 'locked', row) };
      });
      if ('error' in outcome) throw outcome.error;
      return outcome.row;
    });
  }

  /** What the second look, under the lock, already answers. */
  function withoutAsking(row: TokenRow, seen: TokenRow, force: boolean): Outcome | undefined {
    const { provider, status, failure } = row.connection;
    if (status === 'needs_consent') return { error: consentNeeded(provider, failure) };
    const untouched = row.refreshToken === seen.refreshToken && row.accessToken === seen.accessToken;
    if (force ? !untouched : row.secondsLeft > marginSeconds) return { row };
    if (row.secondsToRetry <= 0) return undefined;
    return row.secondsLeft > 0 && !force ? { row } : { error: unavailable(provider, failure, row) };
  }

  /** One call of the provider. Its answer is data: the transaction around it may be tried again, the call may not. */
  async function ask(tx: Kernel, row: TokenRow, provider: ResolvedProvider): Promise<Answered> {
    const refreshToken = await openRefreshToken(keys, row.connection.tenantId, row, tx);
    const asked = { used: row.refreshToken, kept: refreshToken };
    if (refreshToken === undefined) return { ...asked, refusal: 'no_refresh_token' };
    try {
      const grant = await client.refresh(provider, refreshToken);
      // what is refreshed speaks for the same person (OpenID Connect Core, section 12.2)
      const { subject } = row.connection;
      if (grant.subject !== undefined && subject !== null && grant.subject !== subject)
        return { ...asked, refusal: 'subject_changed' };
      return { ...asked, grant };
    } catch (error) {
      if (error instanceof ProviderRefusal) return { ...asked, refusal: error.reason };
      if (error instanceof TenantryError && error.code === 'TNT_OAUTH_ADDRESS_REFUSED')
        return { ...asked, refusal: 'address_refused' };
      throw error;
    }
  }

  async function settle(
    tx: Kernel,
    tenantId: string,
    sealer: Sealer,
    row: TokenRow,
    answered: Answered,
    force: boolean,
  ): Promise<Outcome> {
    const { id, provider } = row.connection;
    // Tried again after a lost connection, the row may hold what another process was given meanwhile: that is the newer
    // one. A rotation of data keys changes the ciphertext alone.
    if (row.refreshToken !== answered.used && (await openRefreshToken(keys, tenantId, row, tx)) !== answered.kept)
      return { row };
    if ('grant' in answered) {
      const { grant, kept } = answered;
      const sealed = sealTokens(sealer, id, grant.accessToken, grant.refreshToken ?? kept);
      const stored = await updateRefreshed(tx, tenantId, id, row.refreshToken, { ...grant, ...sealed });
      return stored === null ? { error: notConnected(provider) } : { row: stored };
    }
    if (final.has(answered.refusal)) {
      if (row.secondsLeft > 0 && !force && answered.refusal === 'no_refresh_token') return { row };
      await updateNeedsConsent(tx, tenantId, id, row.refreshToken, answered.refusal);
      return { error: consentNeeded(provider, answered.refusal) };
    }
    const failed = await updateFailed(
      tx,
      tenantId,
      id,
      answered.used,
      answered.refusal,
      pauseSeconds(row.connection.failures),
    );
    const left = failed ?? row;
    return left.secondsLeft > 0 && !force ? { row: left } : { error: unavailable(provider, answered.refusal, left) };
  }

  async function from(
    connected: Connected,
    resolve: () => Promise<ResolvedProvider>,
    seen: TokenRow,
    force: boolean,
  ): Promise<TokenRow> {
    const provider = await resolve();
    if (provider.issuer === seen.connection.issuer) return refreshed(connected, provider, seen, force);
    // the name leads to another issuer now: it gets nothing of the one before
    await updateNeedsConsent(kernel, connected.tenantId, seen.connection.id, seen.refreshToken, 'issuer_changed');
    throw consentNeeded(connected.provider, 'issuer_changed');
  }

  return {
    async fresh(connected, resolve, force = false) {
      const { tenantId, userId, provider } = connected;
      const seen = await selectToken(kernel, tenantId, userId, provider);
      if (seen === null) throw notConnected(provider);
      if (seen.connection.status === 'needs_consent') throw consentNeeded(provider, seen.connection.failure);
      if (!force && seen.secondsLeft > marginSeconds) return seen;
      const key = `${tenantId}/${seen.connection.id}/${String(force)}`;
      let running = underWay.get(key);
      if (running === undefined) {
        running = from(connected, resolve, seen, force).finally(() => underWay.delete(key));
        underWay.set(key, running);
      }
      return running;
    },
  };
}

/** What the provider said to one refresh token: its ciphertext, which tells whether the row is as it was, and itself. */
type Answered = { readonly used: string; readonly kept: string | undefined } & (
  | { readonly grant: Grant }
  | { readonly refusal: string }
);

/** 30 s, doubled with each failure, a quarter of an hour at most. */
const pauseSeconds = (failures: number): number => Math.min(30 * 2 ** Math.min(failures, 10), 900);

function unavailable(provider: string, reason: string | null, row: TokenRow | null): TenantryError {
  const retryAt = row?.connection.retryAt?.toISOString() ?? null;
  return new TenantryError('TNT_OAUTH_UNAVAILABLE', `${provider} gives no new access token at the moment.`, {
    details: { provider, reason, retryAt },
  });
}

/**
 * After the provider has answered, what it said must be kept: it may have rotated the refresh token. A lost connection
 * is then no reason to give up at once. Before that the caller may as well try again himself.
 */
async function withRetries<T>(run: () => Promise<T>, worthIt: () => boolean): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      if (tries >= 6 || !worthIt() || error instanceof TenantryError || sqlStateOf(error) === '55P03') throw error;
      await new Promise((done) => setTimeout(done, 50 * 2 ** tries));
    }
  }
}
