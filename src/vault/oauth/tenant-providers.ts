import { currentTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { inserted, orForbidden } from '../../directory/forbidden.ts';
import { parseInput } from '../../directory/input.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import type { Audit } from '../../audit/index.ts';
import type { DataKeys } from '../data-keys.ts';
import type { Binding } from '../sealed-value.ts';
import { issuerProblem, type ResolvedProvider } from './providers.ts';
import { deleteProvider, listProviders, selectProvider, upsertProvider } from './provider-queries.ts';
import { newId } from './queries.ts';
import { type OAuthProviderInfo, type OAuthProviderPut, oauthProviderPut } from './schema.ts';

/** OpenID providers of an organization's own. Everybody in it may connect to them; changing them takes oauth.write. */
export interface OAuthProviders {
  /** @throws TNT_INPUT_INVALID, TNT_FORBIDDEN, TNT_CONFLICT for a name of the configuration, TNT_OAUTH_ADDRESS_REFUSED */
  put(input: OAuthProviderPut): Promise<OAuthProviderInfo>;
  list(): Promise<OAuthProviderInfo[]>;
  /** Connections that stand on it stay, and need consent when they expire. @throws TNT_FORBIDDEN */
  delete(name: string): Promise<OAuthProviderInfo | null>;
}

const secretBinding = (id: string): Binding => ({
  table: 'tenantry.oauth_providers',
  column: 'client_secret',
  row: id,
});

export interface TenantProvidersOptions {
  readonly configured: ReadonlyMap<string, ResolvedProvider>;
  readonly allowInsecure: boolean;
  readonly audit: Pick<Audit, 'record'>;
}

/** The provider of a name: the application's, or the current organization's. @throws TNT_OAUTH_PROVIDER_UNKNOWN */
export type ResolveProvider = (name: string, on?: Kernel) => Promise<ResolvedProvider>;

export function createTenantProviders(
  kernel: Kernel,
  keys: DataKeys,
  { configured, allowInsecure, audit }: TenantProvidersOptions,
): { providers: OAuthProviders; resolve: ResolveProvider } {
  const tenant = (): string => currentTenant().tenantId;
  return {
    async resolve(name, on) {
      const known = configured.get(name);
      if (known !== undefined) return known;
      const tenantId = tenant();
      const row = await selectProvider(on ?? kernel, tenantId, name);
      if (row === null) throw new TenantryError('TNT_OAUTH_PROVIDER_UNKNOWN', `There is no OAuth provider "${name}".`);
      const secret = (await keys.open(tenantId, row.clientSecret, secretBinding(row.id), on)).toString('utf8');
      return {
        name,
        foreign: true,
        issuer: row.issuer,
        clientId: row.clientId,
        scopes: row.scopes,
        ...(secret === '' ? {} : { clientSecret: secret }),
      };
    },
    providers: {
      async put(input) {
        const values = parseInput(oauthProviderPut, input);
        const tenantId = tenant();
        if (configured.has(values.name))
          throw new TenantryError('TNT_CONFLICT', `The provider "${values.name}" is the application's own.`, {
            hint: 'Choose another name.',
          });
        const problem = issuerProblem(values.issuer, allowInsecure);
        if (problem !== undefined) throw new TenantryError('TNT_OAUTH_ADDRESS_REFUSED', `issuer: ${problem}.`);
        return write('OAuth provider', 'create', () =>
          keys.sealing(tenantId, (sealer) =>
            kernel.transaction(async (tx) => {
              const id = (await selectProvider(tx, tenantId, values.name))?.id ?? (await newId(tx));
              const clientSecret = sealer.seal(values.clientSecret, secretBinding(id));
              const stored = inserted(
                await upsertProvider(tx, tenantId, id, { ...values, clientSecret }),
                'OAuth provider',
              );
              await audit.record(
                {
                  action: 'oauth.provider_changed',
                  resourceId: id,
                  details: { name: values.name, issuer: values.issuer },
                },
                tx,
              );
              return stored;
            }),
          ),
        );
      },
      list: () => listProviders(kernel, tenant()),
      delete: (name) =>
        write('OAuth provider', 'delete', () =>
          kernel.transaction(async (tx) => {
            const deleted = await orForbidden(
              await deleteProvider(tx, tenant(), name),
              () => selectProvider(tx, tenant(), name),
              'OAuth provider',
              'delete',
            );
            if (deleted !== null)
              await audit.record({ action: 'oauth.provider_deleted', resourceId: deleted.id, details: { name } }, tx);
            return deleted;
          }),
        ),
    },
  };
}
