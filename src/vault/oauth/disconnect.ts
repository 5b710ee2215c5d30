import type { Audit } from '../../audit/index.ts';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import type { DataKeys } from '../data-keys.ts';
import type { Binding } from '../sealed-value.ts';
import { type ProviderClient, ProviderRefusal } from './client.ts';
import {
  deleteRevocation,
  deleteToken,
  holdLock,
  insertRevocation,
  lockRevocation,
  newId,
  postponeRevocation,
  selectToken,
  type TokenRow,
} from './queries.ts';
import type { ResolveProvider } from './tenant-providers.ts';
import { openRefreshToken, tokenBinding } from './tokens.ts';

const revocationBinding = (id: string): Binding => ({ table: 'tenantry.oauth_revocations', column: 'token', row: id });

/** What became of the tokens at the provider. Here they are gone in every case. */
export type Revocation =
  /** The provider has taken them back. */
  | 'revoked'
  /** The provider was not reached, or refused: it is asked again by maintenance. */
  | 'pending'
  /** The provider offers no revocation: what was granted ends there, by the user or by time. */
  | 'unsupported';

export interface Disconnecter {
  /** Null when there was no connection. */
  disconnect(tenantId: string, userId: string, provider: string): Promise<Revocation | null>;
  /** Asks the provider once more. */
  retry(tenantId: string, id: string): Promise<Revocation>;
}

const isDamaged = (error: unknown): boolean => error instanceof TenantryError && error.code === 'TNT_SECRET_DAMAGED';

/** First the tokens go here, with a note of what is to be revoked; then the provider is asked, as often as it takes. */
export function createDisconnecter(
  kernel: Kernel,
  keys: DataKeys,
  client: ProviderClient,
  resolve: ResolveProvider,
  audit: Pick<Audit, 'record'>,
  timeoutSeconds: number,
): Disconnecter {
  /** Opens both tokens; what does not open cannot be revoked, and is no reason to keep the connection. */
  async function tokensOf(tx: Kernel, tenantId: string, row: TokenRow): Promise<string[]> {
    try {
      const refresh = await openRefreshToken(keys, tenantId, row, tx);
      const access = await keys.open(tenantId, row.accessToken, tokenBinding(row.connection.id, 'access_token'), tx);
      return [...(refresh === undefined ? [] : [refresh]), access.toString('utf8')];
    } catch (error) {
      if (isDamaged(error)) return [];
      throw error;
    }
  }

  async function ask(
    tx: Kernel,
    provider: string,
    issuer: string,
    open: () => Promise<Buffer | undefined>,
  ): Promise<Revocation | ProviderRefusal> {
    try {
      const noted = await open();
      if (noted === undefined) return 'unsupported'; // no later attempt opens it either
      const tokens = JSON.parse(noted.toString('utf8')) as string[];
      const resolved = await resolve(provider, tx);
      // the provider of this name is another one now: it is not told the tokens of the one before
      if (resolved.issuer !== issuer) return 'unsupported';
      for (const token of tokens) if (!(await client.revoke(resolved, token))) return 'unsupported';
      return 'revoked';
    } catch (error) {
      if (error instanceof ProviderRefusal) return error;
      if (error instanceof TenantryError && error.code === 'TNT_OAUTH_PROVIDER_UNKNOWN') return 'unsupported';
      if (error instanceof TenantryError) return new ProviderRefusal(error.code);
      throw error;
    }
  }

  async function retry(tenantId: string, id: string): Promise<Revocation> {
    return kernel.transaction(async (tx) => {
      await holdLock(tx, 4 * timeoutSeconds); // configuration, and two tokens to revoke
      const row = await lockRevocation(tx, tenantId, id);
      if (row === null) return 'pending';
      const open = (): Promise<Buffer | undefined> =>
        keys.open(tenantId, row.token, revocationBinding(id), tx).catch((error: unknown) => {
          if (isDamaged(error)) return undefined;
          throw error;
        });
      const result = await ask(tx, row.provider, row.issuer, open);
      if (result instanceof ProviderRefusal) {
        await postponeRevocation(
          tx,
          tenantId,
          id,
          result.reason,
          Math.min(30 * 2 ** Math.min(row.attempts, 12), 86_400),
        );
        return 'pending';
      }
      await deleteRevocation(tx, tenantId, id);
      return result;
    });
  }

  return {
    retry,
    async disconnect(tenantId, userId, provider) {
      const pending = await keys.sealing(tenantId, (sealer) =>
        kernel.transaction(async (tx) => {
          const row = await selectToken(tx, tenantId, userId, provider, 'for update'); // waits for a refresh under way
          if (row === null) return null;
          const { id: connectionId, issuer } = row.connection;
          const id = await newId(tx);
          const token = sealer.seal(JSON.stringify(await tokensOf(tx, tenantId, row)), revocationBinding(id));
          await insertRevocation(tx, tenantId, { id, userId, provider, issuer, token });
          await deleteToken(tx, tenantId, connectionId);
          await audit.record({ action: 'oauth.disconnected', resourceId: connectionId, details: { provider } }, tx);
          return id;
        }),
      );
      if (pending === null) return null;
      // the tokens are gone and the note is kept: whatever happens now, maintenance goes on
      return retry(tenantId, pending).catch(() => 'pending' as const);
    },
  };
}
