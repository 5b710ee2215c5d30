import type { Kernel } from '../database/kernel.ts';
import type { DataKeyRow } from './queries.ts';

// Everything here runs as the owner of the tables, over every organization.

export interface TenantDataKey extends DataKeyRow {
  readonly tenantId: string;
}

/** Data keys that another key than `keyId` wrapped, in the order of the primary key: all pages together read it once. */
export async function selectOtherwiseWrapped(
  kernel: Kernel,
  keyId: string,
  after: { readonly tenantId: string; readonly version: number } | undefined,
  limit: number,
): Promise<TenantDataKey[]> {
  return kernel.query<TenantDataKey>(
    `select k.tenant_id as "tenantId", k.version, k.key_id as "keyId", k.wrapped from tenantry.data_keys k
     where k.key_id <> $1::text and ($2::uuid is null or (k.tenant_id, k.version) > ($2::uuid, $3::int))
     order by k.tenant_id, k.version limit $4::int`,
    [keyId, after?.tenantId ?? null, after?.version ?? null, limit],
  );
}

export interface Rewrapped {
  readonly tenantId: string;
  readonly version: number;
  readonly before: Buffer;
  readonly keyId: string;
  readonly wrapped: Buffer;
}

/** Only rows that are still as they were read: of two rotations, one changes a row. */
export async function updateWrapped(kernel: Kernel, rows: readonly Rewrapped[]): Promise<number> {
  const updated = await kernel.query(
    `update tenantry.data_keys k set key_id = n.key_id, wrapped = n.wrapped, rewrapped_at = clock_timestamp()
     from unnest($1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::bytea[]) as n (tenant_id, version, before, key_id, wrapped)
     where k.tenant_id = n.tenant_id and k.version = n.version and k.wrapped = n.before returning 1`,
    [
      rows.map((row) => row.tenantId),
      rows.map((row) => row.version),
      rows.map((row) => row.before),
      rows.map((row) => row.keyId),
      rows.map((row) => row.wrapped),
    ],
  );
  return updated.length;
}

/** The rotation that is under way, or a new one. `tenantId` null: every organization. */
export async function openRotation(
  kernel: Kernel,
  tenantId: string | null,
): Promise<{ id: string; startedAt: string; resumed: boolean }> {
  const [row] = await kernel.query<{ id: string; startedAt: string; resumed: boolean }>(
    `with made as (
       insert into tenantry.vault_rotations (tenant_id) values ($1::uuid)
       on conflict ((coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid))) where finished_at is null do nothing
       returning id, started_at)
     select m.id, m.started_at::text as "startedAt", false as resumed from made m
     union all
     select r.id, r.started_at::text, true from tenantry.vault_rotations r
     where r.tenant_id is not distinct from $1::uuid and r.finished_at is null limit 1`,
    [tenantId],
  );
  if (row === undefined) return openRotation(kernel, tenantId); // another run has just closed the one that was in the way
  return row;
}

export async function closeRotation(kernel: Kernel, id: string): Promise<void> {
  await kernel.query('update tenantry.vault_rotations r set finished_at = clock_timestamp() where r.id = $1::uuid', [
    id,
  ]);
}

/** Organizations whose current data key is older than the rotation. */
export async function selectToRotate(
  kernel: Kernel,
  tenantId: string | null,
  startedAt: string,
  after: string | undefined,
  limit: number,
): Promise<string[]> {
  const rows = await kernel.query<{ tenantId: string }>(
    `select k.tenant_id as "tenantId" from tenantry.data_keys k
     where k.status = 'current' and k.created_at < $2::timestamptz and ($1::uuid is null or k.tenant_id = $1::uuid)
       and ($3::uuid is null or k.tenant_id > $3::uuid) order by k.tenant_id limit $4::int`,
    [tenantId, startedAt, after ?? null, limit],
  );
  return rows.map((row) => row.tenantId);
}

/** Retires the current key and puts a new one in its place; false when somebody else did since. */
export async function replaceDataKey(
  kernel: Kernel,
  tenantId: string,
  startedAt: string,
  make: (version: number) => Promise<{ readonly keyId: string; readonly wrapped: Buffer }>,
): Promise<boolean> {
  return kernel.transaction(async (tx) => {
    const [old] = await tx.query<{ version: number }>(
      `select k.version from tenantry.data_keys k
       where k.tenant_id = $1::uuid and k.status = 'current' and k.created_at < $2::timestamptz for update`,
      [tenantId, startedAt],
    );
    if (old === undefined) return false;
    const [last] = await tx.query<{ version: number }>(
      'select max(k.version) as version from tenantry.data_keys k where k.tenant_id = $1::uuid',
      [tenantId],
    );
    const version = (last?.version ?? old.version) + 1;
    const { keyId, wrapped } = await make(version);
    await tx.query(
      `update tenantry.data_keys k set status = 'retired', retired_at = clock_timestamp() where k.tenant_id = $1::uuid and k.version = $2::int`,
      [tenantId, old.version],
    );
    await tx.query(
      `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped, created_at)
       values ($1::uuid, $2::int, $3::text, $4::bytea, clock_timestamp())`,
      [tenantId, version, keyId, wrapped],
    );
    return true;
  });
}

/** Retired data keys, for what still stands under them. */
export async function selectRetired(
  kernel: Kernel,
  tenantId: string | null,
  after: { readonly tenantId: string; readonly version: number } | undefined,
  limit: number,
): Promise<{ tenantId: string; version: number }[]> {
  return kernel.query<{ tenantId: string; version: number }>(
    `select k.tenant_id as "tenantId", k.version from tenantry.data_keys k
     where k.status = 'retired' and ($1::uuid is null or k.tenant_id = $1::uuid)
       and ($2::uuid is null or (k.tenant_id, k.version) > ($2::uuid, $3::int))
     order by k.tenant_id, k.version limit $4::int`,
    [tenantId, after?.tenantId ?? null, after?.version ?? null, limit],
  );
}

/** A data key goes when nothing is sealed with it any more; the foreign keys hold it otherwise. */
export async function deleteDataKey(kernel: Kernel, tenantId: string, version: number): Promise<void> {
  await kernel.query(
    `delete from tenantry.data_keys k where k.tenant_id = $1::uuid and k.version = $2::int and k.status = 'retired'`,
    [tenantId, version],
  );
}

export interface KeyCount extends Record<string, unknown> {
  readonly keyId: string;
  readonly dataKeys: number;
  readonly organizations: number;
}

export async function countByKey(kernel: Kernel): Promise<KeyCount[]> {
  return kernel.query<KeyCount>(
    `select k.key_id as "keyId", count(*)::float8 as "dataKeys", count(distinct k.tenant_id)::float8 as organizations
     from tenantry.data_keys k group by k.key_id order by k.key_id`,
  );
}

export async function listOpenRotations(kernel: Kernel): Promise<{ tenantId: string | null; startedAt: Date }[]> {
  return kernel.query(
    `select r.tenant_id as "tenantId", r.started_at as "startedAt" from tenantry.vault_rotations r where r.finished_at is null order by r.started_at`,
  );
}

/** Organizations that have data keys, by id. */
export async function selectTenants(kernel: Kernel, after: string | undefined, limit: number): Promise<string[]> {
  const rows = await kernel.query<{ tenantId: string }>(
    `select k.tenant_id as "tenantId" from tenantry.data_keys k
     where k.status = 'current' and ($1::uuid is null or k.tenant_id > $1::uuid) order by k.tenant_id limit $2::int`,
    [after ?? null, limit],
  );
  return rows.map((row) => row.tenantId);
}
