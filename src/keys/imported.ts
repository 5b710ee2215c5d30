import type { Kernel } from '../database/kernel.ts';
import { type CompareBcrypt, bcryptLimit } from './bcrypt.ts';
import { type KeyEntry, keyEntry } from './entry.ts';
import { findImportedKeys, rehashKey } from './lookup-queries.ts';
import type { Peppers } from './pepper.ts';

const shortest = 8;
const longest = 512;
const shortestPrefix = 4;
const longestPrefix = 32;

/** Whether a text could be a key that was made elsewhere: visible characters of ASCII, of a length that keys have. */
export function isImportable(key: string): boolean {
  return key.length >= shortest && key.length <= longest && /^[\x21-\x7e]+$/.test(key);
}

/** How an imported key is found once its text is known: by its hash, which no longer says what it is the hash of. */
export const hashLookup = (hash: Buffer): string => hash.toString('base64url');

/**
 * The imported key that a text is, among those whose bcrypt hash was all that came along. Its hash is replaced by one of
 * ours at once, so that this happens to each key once.
 */
export async function firstUse(
  kernel: Kernel,
  key: string,
  peppers: Peppers,
  compare: CompareBcrypt,
  maxAgeMs: number,
): Promise<KeyEntry | null> {
  const lengths = Array.from({ length: longestPrefix - shortestPrefix + 1 }, (_, i) => i + shortestPrefix);
  const prefixes = lengths.filter((length) => length <= key.length).map((length) => key.slice(0, length));
  const askedAt = performance.now();
  for (const answer of await findImportedKeys(kernel, prefixes)) {
    const entry = keyEntry(answer, askedAt, maxAgeMs);
    if (!(await compare(key, String(entry.bcrypt)))) continue;
    const hash = peppers.fresh(key);
    const whole = key.length <= bcryptLimit;
    if (whole) {
      await rehashKey(kernel, {
        tenantId: entry.verified.tenantId,
        secretId: entry.secretId,
        oldHash: undefined,
        oldBcrypt: entry.bcrypt,
        lookup: hashLookup(hash),
        hash,
        version: peppers.current,
      });
    }
    return { ...entry, hash, version: peppers.current, bcrypt: whole ? undefined : entry.bcrypt };
  }
  return null;
}
