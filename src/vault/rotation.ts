import { randomBytes } from 'node:crypto';
import { createKernel, type Kernel, type PoolLike } from '../database/kernel.ts';
import { sqlStateOf } from '../database/database-error.ts';
import { TenantryError } from '../errors.ts';
import { createDataKeys, type DataKeys, unwrapDataKey, wrapContext } from './data-keys.ts';
import type { Keyring } from './keyring.ts';
import { countStale, resealPlace, selectAll } from './reseal.ts';
import {
  closeRotation,
  countByKey,
  deleteDataKey,
  type KeyCount,
  listOpenRotations,
  openRotation,
  replaceDataKey,
  selectOtherwiseWrapped,
  selectRetired,
  selectTenants,
  selectToRotate,
  updateWrapped,
} from './rotation-queries.ts';
import { ownPlaces, placeOf, type SealedColumn } from './sealed-columns.ts';

export interface VaultRotationOptions {
  /** Connections of the owner's side: the migrating login or an operator's. The policies do not bind them. */
  readonly database: PoolLike;
  readonly keyring: Keyring;
  readonly schema?: string;
  /** Sealed values in tables of the application's own. */
  readonly columns?: readonly SealedColumn[];
}

export interface RotationProgress {
  readonly step: 'rewrap' | 'new data keys' | 're-encrypt';
  /** Data keys or values done by this run. */
  readonly done: number;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RotationProgress) => void;
  /** Rows per statement. Defaults to 500. */
  readonly batch?: number;
}

export interface VaultStatus {
  /** Id of the key that wraps from now on. */
  readonly current: string;
  /** Each key-encryption key that wrapped something, and whether the key ring holds it. */
  readonly keys: readonly (KeyCount & { readonly held: boolean })[];
  /** Values under a data key that was replaced, by table. */
  readonly stale: readonly { readonly table: string; readonly values: number }[];
  /** Rotations of data keys that were begun and not finished. */
  readonly open: readonly { readonly tenantId: string | null; readonly startedAt: Date }[];
}

export interface DamagedValue {
  readonly tenantId: string;
  readonly table: string;
  readonly row: string;
}

export interface VaultRotation {
  status(): Promise<VaultStatus>;
  /**
   * Wraps every data key with the current key-encryption key. Secrets stay as they are and stay readable meanwhile, by
   * every process whose key ring holds the old and the new key.
   *
   * @throws TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG, TNT_INTERRUPTED
   */
  rewrap(options?: RunOptions): Promise<{ readonly rewrapped: number }>;
  /**
   * Gives organizations a new data key and seals their values with it. Killed at any moment, the next run goes on.
   *
   * @throws TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG, TNT_INTERRUPTED
   */
  rotateDataKeys(options?: RunOptions & { readonly tenantId?: string }): Promise<{
    readonly dataKeys: number;
    readonly values: number;
    readonly damaged: readonly DamagedValue[];
    readonly resumed: boolean;
  }>;
  /** Deletes replaced data keys under which nothing stands any more. */
  prune(): Promise<{ readonly deleted: number; readonly kept: number }>;
  /** Opens every value of every organization, and lists those that do not open. */
  verify(options?: RunOptions): Promise<{ readonly values: number; readonly damaged: readonly DamagedValue[] }>;
}

export function createVaultRotation({
  database,
  keyring,
  schema = 'tenantry',
  columns = [],
}: VaultRotationOptions): VaultRotation {
  const kernel = createKernel(database, schema);
  const places = [...ownPlaces, ...columns.map(placeOf)];

  async function rewrap({ signal, onProgress, batch = 500 }: RunOptions = {}): Promise<{ rewrapped: number }> {
    let rewrapped = 0;
    let after: { tenantId: string; version: number } | undefined;
    for (;;) {
      stopWhenAsked(signal);
      const rows = await selectOtherwiseWrapped(kernel, keyring.current, after, batch);
      if (rows.length === 0) return { rewrapped };
      const fresh = [];
      for (const row of rows) {
        const plain = await unwrapDataKey(keyring, row.tenantId, row);
        const wrapped = await keyring.wrap(plain, wrapContext(row.tenantId, row.version));
        plain.fill(0);
        fresh.push({ tenantId: row.tenantId, version: row.version, before: row.wrapped, ...wrapped });
      }
      rewrapped += await updateWrapped(kernel, fresh);
      after = rows.at(-1);
      onProgress?.({ step: 'rewrap', done: rewrapped });
    }
  }

  async function newDataKeys(
    tenantId: string | null,
    startedAt: string,
    { signal, onProgress }: RunOptions,
  ): Promise<number> {
    let made = 0;
    let after: string | undefined;
    for (;;) {
      const tenants = await selectToRotate(kernel, tenantId, startedAt, after, 500);
      if (tenants.length === 0) return made;
      after = tenants.at(-1);
      for (const id of tenants) {
        stopWhenAsked(signal);
        const plain = randomBytes(32);
        const replaced = await replaceDataKey(kernel, id, startedAt, (version) =>
          keyring.wrap(plain, wrapContext(id, version)),
        );
        plain.fill(0);
        if (!replaced) continue;
        made += 1;
        onProgress?.({ step: 'new data keys', done: made });
      }
    }
  }

  async function reseal(
    tenantId: string | null,
    { signal, onProgress, batch = 500 }: RunOptions,
  ): Promise<{ values: number; damaged: DamagedValue[] }> {
    const keys = createDataKeys(kernel, keyring, { maxKeys: 64, maxAgeMs: 60_000 });
    const damaged: DamagedValue[] = [];
    let values = 0;
    const onRows = (count: number): void => {
      values += count;
      onProgress?.({ step: 're-encrypt', done: values });
      stopWhenAsked(signal);
    };
    try {
      for await (const { tenantId: of, version } of retired(kernel, tenantId)) {
        stopWhenAsked(signal);
        for (const place of places) {
          const result = await resealPlace(kernel, keys, place, of, version, { batch, onRows });
          damaged.push(...result.damaged.map((row) => ({ tenantId: of, table: place.name, row })));
        }
      }
      return { values, damaged };
    } finally {
      keys.clear();
    }
  }

  return {
    rewrap,
    async status() {
      const held = new Set(keyring.ids);
      const keys = (await countByKey(kernel)).map((count) => ({ ...count, held: held.has(count.keyId) }));
      const stale = [];
      for (const place of places) stale.push({ table: place.name, values: await countStale(kernel, place) });
      return { current: keyring.current, keys, stale, open: await listOpenRotations(kernel) };
    },
    async rotateDataKeys({ tenantId, ...options } = {}) {
      const run = await openRotation(kernel, tenantId ?? null);
      const dataKeys = await newDataKeys(tenantId ?? null, run.startedAt, options);
      // Who began to seal before the new key was there stores under the old one a little later: until nothing is found.
      let { values, damaged } = await reseal(tenantId ?? null, options);
      for (let late = values, passes = 1; late > 0 && passes < 10; passes += 1) {
        ({ values: late, damaged } = await reseal(tenantId ?? null, options));
        values += late;
      }
      await closeRotation(kernel, run.id);
      return { dataKeys, values, damaged, resumed: run.resumed };
    },
    async prune() {
      const counts = { deleted: 0, kept: 0 };
      for await (const { tenantId, version } of retired(kernel, null)) {
        const used = await deletedOrUsed(kernel, tenantId, version, columns);
        counts[used ? 'kept' : 'deleted'] += 1;
      }
      return counts;
    },
    async verify({ signal, onProgress, batch = 500 } = {}) {
      const keys = createDataKeys(kernel, keyring, { maxKeys: 64, maxAgeMs: 60_000 });
      const damaged: DamagedValue[] = [];
      let values = 0;
      try {
        for await (const tenantId of tenantsWithKeys(kernel)) {
          for (const place of places) {
            let after: string | undefined;
            for (;;) {
              stopWhenAsked(signal);
              const rows = await selectAll(kernel, place, tenantId, after, batch);
              if (rows.length === 0) break;
              after = rows.at(-1)?.row;
              for (const { row, values: texts } of rows) {
                values += 1;
                if (!(await opens(keys, place, tenantId, row, texts)))
                  damaged.push({ tenantId, table: place.name, row });
              }
              onProgress?.({ step: 're-encrypt', done: values });
            }
          }
        }
        return { values, damaged };
      } finally {
        keys.clear();
      }
    },
  };
}

async function opens(
  keys: DataKeys,
  place: (typeof ownPlaces)[number],
  tenantId: string,
  row: string,
  texts: readonly (string | null)[],
): Promise<boolean> {
  for (const [index, { binding }] of place.columns.entries()) {
    const text = texts[index];
    if (text === null || text === undefined) continue;
    try {
      (await keys.open(tenantId, text, binding(row))).fill(0);
    } catch (error) {
      if (!(error instanceof TenantryError) || error.code !== 'TNT_SECRET_DAMAGED') throw error;
      return false;
    }
  }
  return true;
}

async function* tenantsWithKeys(kernel: Kernel): AsyncGenerator<string> {
  let after: string | undefined;
  for (;;) {
    const page = await selectTenants(kernel, after, 500);
    if (page.length === 0) return;
    yield* page;
    after = page.at(-1);
  }
}

/** Every retired data key, page by page. */
async function* retired(
  kernel: Kernel,
  tenantId: string | null,
): AsyncGenerator<{ tenantId: string; version: number }> {
  let after: { tenantId: string; version: number } | undefined;
  for (;;) {
    const page = await selectRetired(kernel, tenantId, after, 500);
    if (page.length === 0) return;
    yield* page;
    after = page.at(-1);
  }
}

/** True when something still stands under the key: our own tables hold it by foreign keys, the application's are asked. */
async function deletedOrUsed(
  kernel: Kernel,
  tenantId: string,
  version: number,
  columns: readonly SealedColumn[],
): Promise<boolean> {
  for (const place of columns.map(placeOf)) {
    const [row] = await kernel.query<{ used: boolean }>(
      `select exists (select 1 from ${place.relation} x where x.${place.tenant} = $1::uuid and ${place.dataKey} = $2::int) as used`,
      [tenantId, version],
    );
    if (row?.used === true) return true;
  }
  try {
    await deleteDataKey(kernel, tenantId, version);
    return false;
  } catch (error) {
    if (sqlStateOf(error) !== '23503') throw error;
    return true;
  }
}

function stopWhenAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw signal.reason instanceof TenantryError
    ? signal.reason
    : new TenantryError('TNT_INTERRUPTED', 'The rotation was stopped.');
}
