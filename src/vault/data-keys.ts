import { randomBytes } from 'node:crypto';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { DataKeyCache, type DataKeyCacheOptions } from './data-key-cache.ts';
import type { Keyring } from './keyring.ts';
import { type DataKeyRow, insertFirstDataKey, selectCurrentDataKey, selectDataKey } from './queries.ts';
import { type Binding, damaged, lengthPrefixed, openValue, parseSealed, sealValue } from './sealed-value.ts';

/** Seals and opens for one organization under one data key. Valid inside the call that hands it out. */
export interface Sealer {
  readonly version: number;
  seal(plain: string | Uint8Array, binding: Binding): string;
}

export interface DataKeys {
  /** Runs `fn` with the organization's current data key; the first use makes one. `on`: the transaction one is in. */
  sealing<T>(tenantId: string, fn: (sealer: Sealer) => T | Promise<T>, on?: Kernel): Promise<T>;
  /** @throws TNT_SECRET_DAMAGED, TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG */
  open(tenantId: string, sealed: string, binding: Binding, on?: Kernel): Promise<Buffer>;
  /** Forgets every unwrapped key. */
  clear(): void;
}

/** What a wrapped data key is bound to. */
export const wrapContext = (tenantId: string, version: number): Buffer =>
  lengthPrefixed(['tenantry data key', tenantId, `${version}`]);

/** @throws TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG, naming key and data key */
export async function unwrapDataKey(keyring: Keyring, tenantId: string, row: DataKeyRow): Promise<Buffer> {
  try {
    return await keyring.unwrap(row.keyId, row.wrapped, wrapContext(tenantId, row.version));
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error;
    throw new TenantryError(
      error.code,
      `${error.message} Data key ${row.version} of organization ${tenantId} needs it.`,
      {
        details: { keyId: row.keyId, dataKey: row.version, tenantId },
        hint: error.hint,
      },
    );
  }
}

/**
 * A first key is made on a connection of its own, never inside a caller's transaction: rolled back there, it would stay in
 * the cache and seal what nobody can open.
 */
export function createDataKeys(kernel: Kernel, keyring: Keyring, options: DataKeyCacheOptions = {}): DataKeys {
  const cache = new DataKeyCache(options);
  const underWay = new Map<string, Promise<void>>();
  const nameOf = (tenantId: string, version: number): string => `${tenantId}/${version}`;
  const textOf = (row: DataKeyRow): string => row.wrapped.toString('base64');

  async function using<T>(
    tenantId: string,
    version: number,
    load: () => Promise<DataKeyRow>,
    fn: (key: Buffer) => T,
    inTransaction: boolean,
    wrapped?: string,
  ): Promise<T> {
    const name = nameOf(tenantId, version);
    const unwrap = async (): Promise<[key: Buffer, text: string]> => {
      const row = await load();
      return [await unwrapDataKey(keyring, tenantId, row), textOf(row)];
    };
    for (;;) {
      const used = cache.use(name, fn, wrapped);
      if (used !== undefined) return used.result;
      if (inTransaction || wrapped !== undefined) {
        // Not with the others: they may be about to unwrap another row, or wait for the connection that this one holds.
        const [key, text] = await unwrap();
        cache.set(name, key, text); // and used before anybody else has a turn
        continue;
      }
      let unwrapping = underWay.get(name);
      if (unwrapping === undefined) {
        unwrapping = unwrap()
          .then(([key, text]) => cache.set(name, key, text))
          .finally(() => underWay.delete(name));
        underWay.set(name, unwrapping);
      }
      await unwrapping;
    }
  }

  async function current(tenantId: string, on: Kernel): Promise<DataKeyRow> {
    for (let tries = 0; tries < 3; tries += 1) {
      const row = await selectCurrentDataKey(on, tenantId);
      if (row !== null) return row;
      const fresh = randomBytes(32);
      const { keyId, wrapped } = await keyring.wrap(fresh, wrapContext(tenantId, 1));
      fresh.fill(0);
      await insertFirstDataKey(kernel, tenantId, keyId, wrapped);
    }
    throw new TenantryError('TNT_INTERNAL', `Organization ${tenantId} has data keys, but none is current.`);
  }

  return {
    async sealing(tenantId, fn, on) {
      const row = await current(tenantId, on ?? kernel);
      const { version } = row;
      const sealerOf = (key: Buffer): Sealer => ({
        version,
        seal: (plain, binding) =>
          sealValue(key, version, tenantId, binding, typeof plain === 'string' ? Buffer.from(plain, 'utf8') : plain),
      });
      return using(
        tenantId,
        version,
        async () => row,
        (key) => fn(sealerOf(key)),
        on !== undefined,
        // Never with a key that the database does not hold: it may have been restored from a backup since.
        textOf(row),
      );
    },
    async open(tenantId, sealed, binding, on) {
      const { version } = parseSealed(sealed, binding);
      const load = async (): Promise<DataKeyRow> => {
        const row = await selectDataKey(on ?? kernel, tenantId, version);
        if (row === null)
          throw damaged(binding, `was sealed with data key ${version}, which this organization does not have`);
        return row;
      };
      return using(tenantId, version, load, (key) => openValue(key, tenantId, binding, sealed), on !== undefined);
    },
    clear: () => cache.clear(),
  };
}
