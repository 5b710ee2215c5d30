import type { Kernel } from '../database/kernel.ts';
import { rateLimited, rateLimitHeaders } from '../metering/rate/headers.ts';
import type { Rate, RateDecision } from '../metering/rate/types.ts';
import { admit, invalidKey, type KeyUse } from './admit.ts';
import type { CompareBcrypt } from './bcrypt.ts';
import type { Found, KeyCache } from './cache.ts';
import { type KeyEntry, keyEntry, type VerifiedKey } from './entry.ts';
import { prefixOf, publicIdOf } from './format.ts';
import { firstUse, hashLookup, isImportable } from './imported.ts';
import type { FindKey } from './key-finder.ts';
import { rehashKey } from './lookup-queries.ts';
import { type Peppers, sameDigest } from './pepper.ts';
import type { KeyRateLimiter } from './options.ts';
import type { Throttle } from './throttle.ts';

export interface Verifying {
  readonly kernel: Kernel;
  readonly find: FindKey;
  readonly peppers: Peppers;
  readonly cache: KeyCache;
  readonly throttle: Throttle;
  readonly limiter: KeyRateLimiter;
  readonly compareBcrypt: CompareBcrypt;
  readonly maxAgeMs: number;
  /** A key was accepted. */
  readonly used: (entry: KeyEntry, now: number) => void;
  /** Work that nobody waits for. */
  readonly background: (work: Promise<unknown>) => void;
}

export interface VerifyOptions extends KeyUse {
  /** Told what the key's own rate limit decided, for the headers of the response. */
  readonly onRate?: ((decision: RateDecision) => void) | undefined;
}

/** Compared with where there is no key, so that a wrong key takes one way whether it exists or not. */
const nobody = Buffer.alloc(32);

/**
 * Who a key is, or an error. Typing errors are found without any look-up; what is fresh in the cache takes no round trip,
 * everything else one.
 */
export async function verifyKey(v: Verifying, key: string, options: VerifyOptions): Promise<VerifiedKey> {
  const recognized = recognize(v, key, options.address);
  const { entry, digest } = recognized instanceof Promise ? await recognized : recognized;
  const now = performance.now();
  admit(entry, options, now);
  const { rateLimit } = entry.verified;
  if (rateLimit !== undefined) await takeRate(v, entry, rateLimit, options);
  v.used(entry, now);
  if (entry.version !== v.peppers.current) freshen(v, key, entry, digest);
  return entry.verified;
}

interface Recognized {
  readonly entry: KeyEntry;
  readonly digest: Buffer;
}

/**
 * The key that a text is, whatever its state: who gets an answer holds its secret. At once where it is fresh in the cache.
 *
 * @throws TNT_KEY_INVALID, TNT_RATE_LIMITED
 */
export function recognize(v: Verifying, key: string, address: string | undefined): Recognized | Promise<Recognized> {
  const lookup = publicIdOf(key);
  if (lookup === undefined) return recognizeImported(v, key, address);
  const known = v.cache.get(lookup, performance.now());
  if (known === undefined || known === null) v.throttle.admit(address);
  if (known !== undefined) return judge(v, key, known, address);
  return v.cache.load(lookup, () => read(v, lookup)).then((found) => judge(v, key, found, address));
}

/** Hashes and compares, also where there is nothing to compare with. */
function judge(v: Verifying, key: string, found: Found, address: string | undefined): Recognized | Promise<never> {
  const digest = v.peppers.digest(found?.version ?? v.peppers.current, key);
  const same = sameDigest(digest ?? nobody, found?.hash ?? nobody);
  if (found === null || digest === undefined || !same) return wrong(v, address);
  return { entry: found, digest };
}

async function recognizeImported(v: Verifying, key: string, address: string | undefined): Promise<Recognized> {
  v.throttle.admit(address);
  // what looks like ours and is mistyped is nobody's
  if (!isImportable(key) || prefixOf(key) !== undefined) return wrong(v, address);
  for (const version of v.peppers.versions) {
    const digest = v.peppers.digest(version, key) as Buffer;
    const lookup = hashLookup(digest);
    const known = v.cache.get(lookup, performance.now());
    const found = known === undefined ? await v.cache.load(lookup, () => readImported(v, lookup, key, version)) : known;
    if (found?.hash !== undefined && sameDigest(found.hash, digest)) return { entry: found, digest };
  }
  return wrong(v, address);
}

async function wrong(v: Verifying, address: string | undefined): Promise<never> {
  await v.throttle.failed(address);
  throw invalidKey();
}

async function read(v: Verifying, lookup: string): Promise<Found> {
  const askedAt = performance.now();
  const answer = await v.find(lookup);
  return answer === null ? null : keyEntry(answer, askedAt, v.maxAgeMs);
}

async function readImported(v: Verifying, lookup: string, key: string, version: number): Promise<Found> {
  const found = await read(v, lookup);
  // only the current pepper makes first uses: one search by prefix is enough
  if (found !== null || version !== v.peppers.current) return found;
  return firstUse(v.kernel, key, v.peppers, v.compareBcrypt, v.maxAgeMs);
}

const rateName = 'key';

/** What a response says of the rate limit of its key. */
export const keyRateHeaders = (decision: RateDecision): Record<string, string> =>
  rateLimitHeaders([{ ...decision, name: rateName }], decision);

async function takeRate(v: Verifying, entry: KeyEntry, rate: Rate, { onRate }: VerifyOptions): Promise<void> {
  const { tenantId, keyId } = entry.verified;
  const decision = await v.limiter.take([{ key: `${tenantId}/api-key/${keyId}`, rate }]);
  onRate?.(decision);
  if (!decision.allowed) throw rateLimited(rateName, decision, keyRateHeaders(decision));
}

/** Hashes a key under the current pepper that was verified under an older one. */
function freshen(v: Verifying, key: string, entry: KeyEntry, digest: Buffer): void {
  const hash = v.peppers.fresh(key);
  const lookup = publicIdOf(key) === undefined ? hashLookup(hash) : undefined;
  // once for as long as the entry is kept
  entry.hash = hash;
  entry.version = v.peppers.current;
  v.background(
    rehashKey(v.kernel, {
      tenantId: entry.verified.tenantId,
      secretId: entry.secretId,
      oldHash: digest,
      oldBcrypt: undefined,
      lookup,
      hash,
      version: v.peppers.current,
    }),
  );
}
