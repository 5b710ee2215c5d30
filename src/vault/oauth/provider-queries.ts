import type { Kernel } from '../../database/kernel.ts';
import { first } from '../../directory/queries/rows.ts';
import type { OAuthProviderInfo } from './schema.ts';

const providerColumns = `p.tenant_id as "tenantId", p.id, p.name, p.issuer, p.client_id as "clientId", p.scopes,
  p.created_at as "createdAt", p.updated_at as "updatedAt"`;

type Rows<T> = T & Record<string, unknown>;

export async function selectProvider(
  kernel: Kernel,
  tenantId: string,
  name: string,
): Promise<(OAuthProviderInfo & { readonly clientSecret: string }) | null> {
  return first(
    await kernel.query<Rows<OAuthProviderInfo & { clientSecret: string }>>(
      `select ${providerColumns}, p.client_secret as "clientSecret" from tenantry.oauth_providers p
       where p.tenant_id = $1::uuid and p.name = $2::text`,
      [tenantId, name],
    ),
  );
}

export async function listProviders(kernel: Kernel, tenantId: string): Promise<OAuthProviderInfo[]> {
  return kernel.query<Rows<OAuthProviderInfo>>(
    `select ${providerColumns} from tenantry.oauth_providers p where p.tenant_id = $1::uuid order by p.name`,
    [tenantId],
  );
}

/** The id must be the row's own when there is one: its secret is sealed for it. */
export async function upsertProvider(
  kernel: Kernel,
  tenantId: string,
  id: string,
  provider: { name: string; issuer: string; clientId: string; clientSecret: string; scopes: readonly string[] },
): Promise<OAuthProviderInfo | null> {
  return first(
    await kernel.query<Rows<OAuthProviderInfo>>(
      `insert into tenantry.oauth_providers as p (tenant_id, id, name, issuer, client_id, client_secret, scopes)
       values ($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::text[])
       on conflict (tenant_id, name) do update set issuer = excluded.issuer, client_id = excluded.client_id,
         client_secret = excluded.client_secret, scopes = excluded.scopes where p.id = excluded.id
       returning ${providerColumns}`,
      [tenantId, id, provider.name, provider.issuer, provider.clientId, provider.clientSecret, provider.scopes],
    ),
  );
}

export async function deleteProvider(
  kernel: Kernel,
  tenantId: string,
  name: string,
): Promise<OAuthProviderInfo | null> {
  return first(
    await kernel.query<Rows<OAuthProviderInfo>>(
      `delete from tenantry.oauth_providers p where p.tenant_id = $1::uuid and p.name = $2::text returning ${providerColumns}`,
      [tenantId, name],
    ),
  );
}
