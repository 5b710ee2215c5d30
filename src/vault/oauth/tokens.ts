import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import type { DataKeys, Sealer } from '../data-keys.ts';
import type { Binding } from '../sealed-value.ts';
import { Secret } from '../secret.ts';
import type { TokenRow } from './queries.ts';

export const tokenBinding = (id: string, column: 'access_token' | 'refresh_token'): Binding => ({
  table: 'tenantry.oauth_tokens',
  column,
  row: id,
});

/** Both under one data key, whichever of them is new. No refresh token is an empty one. */
export function sealTokens(
  sealer: Sealer,
  id: string,
  accessToken: string,
  refreshToken: string | undefined,
): { accessToken: string; refreshToken: string } {
  return {
    accessToken: sealer.seal(accessToken, tokenBinding(id, 'access_token')),
    refreshToken: sealer.seal(refreshToken ?? '', tokenBinding(id, 'refresh_token')),
  };
}

/** An access token for one request, or a few. */
export interface AccessToken {
  /** Prints as `<encrypted>`; `reveal()` gives the text. */
  readonly accessToken: Secret;
  readonly expiresAt: Date;
  readonly scopes: readonly string[];
}

export async function openAccessToken(keys: DataKeys, tenantId: string, row: TokenRow): Promise<AccessToken> {
  const { id, expiresAt, scopes } = row.connection;
  const plain = await keys.open(tenantId, row.accessToken, tokenBinding(id, 'access_token'));
  return { accessToken: new Secret(plain.toString('utf8')), expiresAt, scopes };
}

/** Undefined when the provider never gave one. */
export async function openRefreshToken(
  keys: DataKeys,
  tenantId: string,
  row: TokenRow,
  on?: Kernel,
): Promise<string | undefined> {
  const plain = await keys.open(tenantId, row.refreshToken, tokenBinding(row.connection.id, 'refresh_token'), on);
  return plain.length === 0 ? undefined : plain.toString('utf8');
}

export function consentNeeded(provider: string, reason: string | null): TenantryError {
  return new TenantryError(
    'TNT_OAUTH_CONSENT_NEEDED',
    `The connection to ${provider} needs the user's consent again.`,
    {
      details: { provider, reason },
    },
  );
}

export function notConnected(provider: string): TenantryError {
  return new TenantryError('TNT_NOT_FOUND', `This user has no connection to ${provider}.`, {
    details: { provider },
    hint: 'Send the user through t.oauth.connect.',
  });
}
