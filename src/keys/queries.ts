import type { z } from 'zod';
import type { Kernel } from '../database/kernel.ts';
import type { Acl } from '../directory/namespace-schema.ts';
import { first } from '../directory/queries/rows.ts';
import { assignments } from '../directory/queries/update.ts';
import type { ApiKey, keyCreate, keyRevoke, keyUpdate } from './schema.ts';

const columns = `k.tenant_id as "tenantId", k.id, k.namespace_id as "namespaceId", k.kind, k.environment, k.name, k.permissions,
  k.allowed_origins as "allowedOrigins", k.allowed_addresses::text[] as "allowedAddresses", k.limits, k.rate_limit as "rateLimit",
  case when k.revoked_at is not null then 'revoked' when not k.enabled then 'disabled' when k.expires_at <= now() then 'expired' else 'active' end as status,
  k.enabled, k.expires_at as "expiresAt", k.revoked_at as "revokedAt", k.revoked_reason as "revokedReason",
  k.restorable_until as "restorableUntil", u.last_used_at as "lastUsedAt", k.created_by as "createdBy", k.created_at as "createdAt",
  k.updated_at as "updatedAt", s.secrets`;
const joins = `left join tenantry.api_key_uses u on u.tenant_id = k.tenant_id and u.key_id = k.id
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'hint', x.hint, 'expiresAt', x.expires_at, 'createdAt', x.created_at)
      order by x.id desc), '[]') as secrets
    from tenantry.api_key_secrets x where x.tenant_id = k.tenant_id and x.key_id = k.id) s`;

type Row = Omit<ApiKey, 'secrets'> & {
  secrets: { id: string; hint: string; expiresAt: string | null; createdAt: string }[];
};

const withDates = (row: Row): ApiKey => ({
  ...row,
  secrets: row.secrets.map(({ id, hint, expiresAt, createdAt }) => ({
    id,
    hint,
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    createdAt: new Date(createdAt),
  })),
});

export async function insertKey(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof keyCreate>,
): Promise<Pick<ApiKey, 'id' | 'kind' | 'environment'> | null> {
  return first(
    await kernel.query<Pick<ApiKey, 'id' | 'kind' | 'environment'>>(
      `insert into tenantry.api_keys as k (tenant_id, namespace_id, kind, environment, name, permissions, allowed_origins,
         allowed_addresses, limits, rate_limit, expires_at)
       values ($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::text[], $7::text[],
         array(select network(a::inet) from unnest($8::text[]) a), $9::jsonb, $10::jsonb, $11::timestamptz)
       returning k.id, k.kind, k.environment`,
      [
        tenantId,
        input.namespaceId,
        input.kind,
        input.environment,
        input.name,
        input.permissions,
        input.allowedOrigins,
        input.allowedAddresses,
        JSON.stringify(input.limits),
        input.rateLimit === null ? null : JSON.stringify(input.rateLimit),
        input.expiresAt,
      ],
    ),
  );
}

export interface NewSecret {
  readonly hint: string;
  readonly lookup: string | undefined;
  readonly hash: Buffer | undefined;
  readonly version: number | undefined;
  readonly bcryptHash: string | undefined;
  readonly lookupPrefix: string | undefined;
}

export async function insertSecret(kernel: Kernel, tenantId: string, keyId: string, secret: NewSecret): Promise<void> {
  const { lookup, hint, hash, version, bcryptHash, lookupPrefix } = secret;
  await kernel.query(
    `insert into tenantry.api_key_secrets (tenant_id, key_id, lookup, hint, hash, hash_version, bcrypt_hash, lookup_prefix)
     values ($1::uuid, $2::uuid, coalesce($3::text, 'import:' || gen_random_uuid()), $4::text, $5::bytea, $6::int, $7::text, $8::text)`,
    [tenantId, keyId, lookup ?? null, hint, hash ?? null, version ?? null, bcryptHash ?? null, lookupPrefix ?? null],
  );
}

export async function selectKey(kernel: Kernel, tenantId: string, id: string): Promise<ApiKey | null> {
  const row = first(
    await kernel.query<Row>(
      `select ${columns} from tenantry.api_keys k ${joins} where k.tenant_id = $1::uuid and k.id = $2::uuid`,
      [tenantId, id],
    ),
  );
  return row === null ? null : withDates(row);
}

export async function listKeys(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  before: string | undefined,
  limit: number,
): Promise<ApiKey[]> {
  const rows = await kernel.query<Row>(
    `select ${columns} from tenantry.api_keys k ${joins}
     where k.tenant_id = $1::uuid and ($2::uuid is null or k.namespace_id = $2::uuid) and ($3::uuid is null or k.id < $3::uuid)
     order by k.id desc limit $4::int`,
    [tenantId, namespaceId ?? null, before ?? null, limit],
  );
  return rows.map(withDates);
}

const updatable = {
  name: ['name', 'text'],
  permissions: ['permissions', 'text[]'],
  allowedOrigins: ['allowed_origins', 'text[]'],
  limits: ['limits', 'jsonb'],
  enabled: ['enabled', 'boolean'],
  expiresAt: ['expires_at', 'timestamptz'],
} as const;

/** Whether there was a row that the caller may change. */
export async function updateKey(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof keyUpdate>,
): Promise<boolean> {
  const { allowedAddresses, rateLimit, ...plain } = input;
  const set = assignments(plain, updatable, 3);
  const values = [tenantId, id, ...(set?.values ?? [])];
  const parts = set === undefined ? [] : [set.text];
  if (allowedAddresses !== undefined) {
    parts.push(
      `allowed_addresses = array(select network(a::inet) from unnest($${values.push(allowedAddresses)}::text[]) a)`,
    );
  }
  if (rateLimit !== undefined) {
    parts.push(`rate_limit = $${values.push(rateLimit === null ? null : JSON.stringify(rateLimit))}::jsonb`);
  }
  if (parts.length === 0) parts.push('name = name');
  const rows = await kernel.query(
    `update tenantry.api_keys set ${parts.join(', ')} where tenant_id = $1::uuid and id = $2::uuid returning id`,
    values,
  );
  return rows.length > 0;
}

/** What a rotation begins with: the row, held until it commits. Revoked and expired keys are not rotated. */
export async function lockKey(
  kernel: Kernel,
  tenantId: string,
  id: string,
): Promise<(Pick<ApiKey, 'id' | 'kind' | 'environment'> & { over: boolean }) | null> {
  return first(
    await kernel.query<Pick<ApiKey, 'id' | 'kind' | 'environment'> & { over: boolean }>(
      `select k.id, k.kind, k.environment, k.revoked_at is not null or coalesce(k.expires_at <= now(), false) as over
       from tenantry.api_keys k where k.tenant_id = $1::uuid and k.id = $2::uuid for no key update`,
      [tenantId, id],
    ),
  );
}

/** Ends the secrets of a key in so long, unless they end before; what ended a month ago goes. */
export async function endSecrets(kernel: Kernel, tenantId: string, keyId: string, afterMs: number): Promise<void> {
  await kernel.query(
    `delete from tenantry.api_key_secrets where tenant_id = $1::uuid and key_id = $2::uuid and expires_at < now() - interval '30 days'`,
    [tenantId, keyId],
  );
  await kernel.query(
    `update tenantry.api_key_secrets set expires_at = least(expires_at, now() + make_interval(secs => $3::float8 / 1000))
     where tenant_id = $1::uuid and key_id = $2::uuid and (expires_at is null or expires_at > now())`,
    [tenantId, keyId, afterMs],
  );
}

/** Undefined: there is no such key to change; false: it was revoked before. */
export async function revokeKey(
  kernel: Kernel,
  tenantId: string,
  id: string,
  { reason, restoreWithinMs }: z.output<typeof keyRevoke>,
): Promise<boolean | undefined> {
  const [row] = await kernel.query<{ before: boolean }>(
    `update tenantry.api_keys k
     set revoked_at = coalesce(k.revoked_at, now()), revoked_reason = coalesce(k.revoked_reason, $3::text),
       restorable_until = case when $4::float8 = 0 then null when k.revoked_at is null then now() + make_interval(secs => $4::float8 / 1000)
         else k.restorable_until end
     from tenantry.api_keys old
     where k.tenant_id = $1::uuid and k.id = $2::uuid and old.tenant_id = k.tenant_id and old.id = k.id
     returning old.revoked_at is not null as before`,
    [tenantId, id, reason ?? null, restoreWithinMs],
  );
  return row === undefined ? undefined : !row.before;
}

export async function restoreKey(kernel: Kernel, tenantId: string, id: string): Promise<boolean> {
  const rows = await kernel.query(
    `update tenantry.api_keys set revoked_at = null, revoked_reason = null, restorable_until = null
     where tenant_id = $1::uuid and id = $2::uuid and revoked_at is not null returning id`,
    [tenantId, id],
  );
  return rows.length > 0;
}

export async function emitKeyEvent(kernel: Kernel, tenantId: string, topic: string, payload: object): Promise<void> {
  await kernel.query('select tenantry.emit($1::uuid, $2::text, $3::jsonb)', [tenantId, topic, JSON.stringify(payload)]);
}

export async function selectKeyAcl(kernel: Kernel, tenantId: string, keyId: string): Promise<Acl> {
  const rows = await kernel.query<{ id: string; read: boolean; write: boolean }>(
    `select a.principal_id as id, a.can_read as read, a.can_write as write from tenantry.api_key_acl a
     where a.tenant_id = $1::uuid and a.key_id = $2::uuid order by a.principal_id`,
    [tenantId, keyId],
  );
  return Object.fromEntries(rows.map(({ id, read, write }) => [id, { read, write }]));
}

/** Replaces the whole map. */
export async function replaceKeyAcl(kernel: Kernel, tenantId: string, keyId: string, acl: Acl): Promise<void> {
  const entries = Object.entries(acl);
  await kernel.query('delete from tenantry.api_key_acl where tenant_id = $1::uuid and key_id = $2::uuid', [
    tenantId,
    keyId,
  ]);
  await kernel.query(
    `insert into tenantry.api_key_acl (tenant_id, key_id, principal_id, can_read, can_write)
     select $1::uuid, $2::uuid, e.id, e.r, e.w from unnest($3::uuid[], $4::boolean[], $5::boolean[]) e (id, r, w) order by e.id`,
    [
      tenantId,
      keyId,
      entries.map(([id]) => id),
      entries.map(([, { read }]) => read),
      entries.map(([, { write }]) => write),
    ],
  );
}
