import { ContextScope, runInScope } from '../context/scope.ts';
import type { Kernel } from '../database/kernel.ts';

/** Before a key is verified there is no tenant: nothing is told to the server. */
const scope = new ContextScope({ kind: 'system', reason: 'verify an API key' });

/** One prepared statement, one round trip, one probe of an index, whatever the number of keys. */
export async function findKey(kernel: Kernel, lookup: string): Promise<string | null> {
  const [row] = await runInScope(scope, () =>
    kernel.query<{ answer: string | null }>('select tenantry.find_api_key($1::text) as answer', [lookup]),
  );
  return row?.answer ?? null;
}

/** The same for several at once; those that are none are left out. */
export async function findKeys(
  kernel: Kernel,
  lookups: readonly string[],
): Promise<readonly { lookup: string; answer: string }[]> {
  return runInScope(scope, () =>
    kernel.query<{ lookup: string; answer: string }>(
      'select f.lookup, f.answer from tenantry.find_api_keys($1::text[]) f',
      [lookups],
    ),
  );
}

export async function findImportedKeys(kernel: Kernel, prefixes: readonly string[]): Promise<string[]> {
  const rows = await runInScope(scope, () =>
    kernel.query<{ answer: string }>('select f.answer from tenantry.find_imported_api_keys($1::text[]) f(answer)', [
      prefixes,
    ]),
  );
  return rows.map(({ answer }) => answer);
}

export interface Rehash {
  readonly tenantId: string;
  readonly secretId: string;
  readonly oldHash: Buffer | undefined;
  readonly oldBcrypt: string | undefined;
  /** Of an imported key: it is found by its hash. */
  readonly lookup: string | undefined;
  readonly hash: Buffer;
  readonly version: number;
}

export async function rehashKey(kernel: Kernel, rehash: Rehash): Promise<void> {
  const { tenantId, secretId, oldHash, oldBcrypt, lookup, hash, version } = rehash;
  await runInScope(scope, () =>
    kernel.query(
      'select tenantry.rehash_api_key($1::uuid, $2::uuid, $3::bytea, $4::text, $5::text, $6::bytea, $7::int)',
      [tenantId, secretId, oldHash ?? null, oldBcrypt ?? null, lookup ?? null, hash, version],
    ),
  );
}

export interface KeyUseSeen {
  readonly tenantId: string;
  readonly keyId: string;
  readonly secondsAgo: number;
}

export async function touchKeys(kernel: Kernel, uses: readonly KeyUseSeen[]): Promise<void> {
  await runInScope(scope, () =>
    kernel.query('select tenantry.touch_api_keys($1::uuid[], $2::uuid[], $3::float8[])', [
      uses.map(({ tenantId }) => tenantId),
      uses.map(({ keyId }) => keyId),
      uses.map(({ secondsAgo }) => secondsAgo),
    ]),
  );
}

export interface LeakedKey {
  readonly tenantId: string;
  readonly secretId: string;
  /** Of the key that was found, under every pepper at hand. */
  readonly hashes: readonly Buffer[];
  readonly bcrypt: string | undefined;
  readonly details: object;
}

export async function revokeLeakedKey(kernel: Kernel, leaked: LeakedKey): Promise<boolean> {
  const { tenantId, secretId, hashes, bcrypt, details } = leaked;
  const [row] = await runInScope(scope, () =>
    kernel.query<{ revoked: boolean }>(
      'select tenantry.revoke_leaked_api_key($1::uuid, $2::uuid, $3::bytea[], $4::text, $5::jsonb) as revoked',
      [tenantId, secretId, hashes, bcrypt ?? null, JSON.stringify(details)],
    ),
  );
  return row?.revoked === true;
}
