import type { Kernel } from '../database/kernel.ts';
import { first } from '../directory/queries/rows.ts';
import type { SecretInfo } from './schema.ts';

export interface DataKeyRow extends Record<string, unknown> {
  readonly version: number;
  readonly keyId: string;
  readonly wrapped: Buffer;
}

const dataKeyColumns = 'k.version, k.key_id as "keyId", k.wrapped';

export async function selectCurrentDataKey(kernel: Kernel, tenantId: string): Promise<DataKeyRow | null> {
  return first(
    await kernel.query<DataKeyRow>(
      `select ${dataKeyColumns} from tenantry.data_keys k where k.tenant_id = $1::uuid and k.status = 'current'`,
      [tenantId],
    ),
  );
}

export async function selectDataKey(kernel: Kernel, tenantId: string, version: number): Promise<DataKeyRow | null> {
  return first(
    await kernel.query<DataKeyRow>(
      `select ${dataKeyColumns} from tenantry.data_keys k where k.tenant_id = $1::uuid and k.version = $2::int`,
      [tenantId, version],
    ),
  );
}

/** The first key of an organization. Another process may have been first: then nothing happens. */
export async function insertFirstDataKey(
  kernel: Kernel,
  tenantId: string,
  keyId: string,
  wrapped: Buffer,
): Promise<void> {
  await kernel.query(
    `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) values ($1::uuid, 1, $2::text, $3::bytea)
     on conflict do nothing`,
    [tenantId, keyId, wrapped],
  );
}

const secretColumns = `s.tenant_id as "tenantId", s.id, s.name, s.description, s.current_version as version, s.keep_versions as "keepVersions",
  s.created_at as "createdAt", s.updated_at as "updatedAt"`;

export interface NewSecret {
  readonly service: string;
  readonly name: string;
  readonly description: string | null;
  readonly keepVersions: number | null;
}

/** Makes the secret or counts its version on; the row's lock makes writers take turns. */
export async function upsertSecret(kernel: Kernel, tenantId: string, secret: NewSecret): Promise<SecretInfo | null> {
  return first(
    await kernel.query<SecretInfo>(
      `insert into tenantry.secrets as s (tenant_id, service, name, description, keep_versions)
       values ($1::uuid, $2::text, $3::text, $4::text, coalesce($5::int, 10))
       on conflict (tenant_id, service, name) do update set current_version = s.current_version + 1,
         description = coalesce($4::text, s.description), keep_versions = coalesce($5::int, s.keep_versions)
       returning ${secretColumns}`,
      [tenantId, secret.service, secret.name, secret.description, secret.keepVersions],
    ),
  );
}

/** Without RETURNING: who may write a secret need not be able to read it. */
export async function insertSecretVersion(
  kernel: Kernel,
  tenantId: string,
  secretId: string,
  version: number,
  value: string,
): Promise<void> {
  await kernel.query(
    `insert into tenantry.secret_versions (tenant_id, secret_id, version, value) values ($1::uuid, $2::uuid, $3::int, $4::text)`,
    [tenantId, secretId, version, value],
  );
}

export async function selectSecret(
  kernel: Kernel,
  tenantId: string,
  service: string,
  key: { readonly id: string } | { readonly name: string },
): Promise<SecretInfo | null> {
  const [condition, value] = 'id' in key ? ['s.id = $3::uuid', key.id] : ['s.name = $3::text', key.name];
  return first(
    await kernel.query<SecretInfo>(
      `select ${secretColumns} from tenantry.secrets s where s.tenant_id = $1::uuid and s.service = $2::text and ${condition}`,
      [tenantId, service, value],
    ),
  );
}

export async function listSecrets(
  kernel: Kernel,
  tenantId: string,
  service: string,
  after: string | undefined,
  limit: number,
): Promise<SecretInfo[]> {
  return kernel.query<SecretInfo>(
    `select ${secretColumns} from tenantry.secrets s
     where s.tenant_id = $1::uuid and s.service = $2::text and ($3::text is null or s.name > $3::text) order by s.name limit $4::int`,
    [tenantId, service, after ?? null, limit],
  );
}

export async function selectSecretValue(
  kernel: Kernel,
  tenantId: string,
  secretId: string,
  version: number,
): Promise<string | null> {
  const [row] = await kernel.query<{ value: string }>(
    `select v.value from tenantry.secret_versions v where v.tenant_id = $1::uuid and v.secret_id = $2::uuid and v.version = $3::int`,
    [tenantId, secretId, version],
  );
  return row?.value ?? null;
}

export async function listSecretVersions(
  kernel: Kernel,
  tenantId: string,
  secretId: string,
): Promise<{ version: number; createdBy: string | null; createdAt: Date }[]> {
  return kernel.query(
    `select v.version, v.created_by as "createdBy", v.created_at as "createdAt" from tenantry.secret_versions v
     where v.tenant_id = $1::uuid and v.secret_id = $2::uuid order by v.version desc`,
    [tenantId, secretId],
  );
}

export async function deleteSecret(kernel: Kernel, tenantId: string, id: string): Promise<SecretInfo | null> {
  return first(
    await kernel.query<SecretInfo>(
      `delete from tenantry.secrets s where s.tenant_id = $1::uuid and s.id = $2::uuid returning ${secretColumns}`,
      [tenantId, id],
    ),
  );
}
