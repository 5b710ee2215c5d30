import { withTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import type { Listener } from '../database/listen.ts';
import { TenantryError } from '../errors.ts';
import { createMemoryRateLimiter } from '../metering/rate/memory.ts';
import { bcryptHere, inTurns } from './bcrypt.ts';
import { createBcryptThreads } from './bcrypt-threads.ts';
import { KeyCache } from './cache.ts';
import type { VerifiedKey } from './entry.ts';
import { createKeyFinder } from './key-finder.ts';
import { cacheDefaults, failureDefault, type KeysOptions, longestAge } from './options.ts';
import { createPeppers, parsePeppers, type Peppers } from './pepper.ts';
import { createThrottle } from './throttle.ts';
import { KeyUses } from './uses.ts';
import { type Verifying, type VerifyOptions, verifyKey } from './verify.ts';
import { watchKeys } from './watch.ts';

/** The verifying half of `t.keys`. */
export interface KeyVerifier {
  /**
   * Whose a key is and what it may: key → namespace → organization → principal → context. One round trip, or none while
   * the answer is fresh.
   *
   * @throws TNT_KEY_INVALID, TNT_KEY_INACTIVE, TNT_KEY_REFUSED, TNT_RATE_LIMITED
   * @example
   * ```ts
   * const key = await t.keys.verify(token, { permission: 'write', address });
   * await withTenant(key.context, () => pool.query('insert into notes (body) values ($1)', [body]));
   * ```
   */
  verify(key: string, options?: VerifyOptions): Promise<VerifiedKey>;
  /**
   * The same, and runs `fn` as the key: every read and write inside is confined to its organization and namespace.
   *
   * @throws what verify throws
   */
  run<T>(key: string, options: VerifyOptions, fn: (key: VerifiedKey) => T | PromiseLike<T>): Promise<T>;
  /** Writes what is still to be written, ends the listening connection and its threads. */
  close(): Promise<void>;
}

/** What the other half needs of it. */
export interface VerifierInside extends KeyVerifier {
  readonly verifying: () => Verifying;
  readonly peppers: () => Peppers;
  readonly cache: KeyCache;
}

export function createVerifier(kernel: Kernel, options: KeysOptions): VerifierInside {
  const { cache: cacheOptions = {}, listen = false, limiter = createMemoryRateLimiter(), onError = () => {} } = options;
  const limits = { ...cacheDefaults, ...(cacheOptions === false ? {} : cacheOptions) };
  if (!(limits.maxAgeMs > 0 && limits.maxAgeMs <= longestAge)) {
    throw new TenantryError('TNT_CONFIG_INVALID', `keys.cache.maxAgeMs: takes 1 to ${longestAge}.`);
  }
  const cache = new KeyCache(limits);
  const uses = new KeyUses(kernel, options.lastUsedEveryMs ?? 60_000, onError);
  const threads = createBcryptThreads(bcryptHere());
  const open = new Set<Promise<unknown>>();
  let listener: Listener | undefined;
  let verifying: Verifying | undefined;

  const peppersOf = (): Peppers => {
    const { peppers = process.env['TENANTRY_KEY_PEPPER'] } = options;
    if (peppers === undefined || peppers === '') {
      throw new TenantryError('TNT_CONFIG_INVALID', 'API keys need a pepper: TENANTRY_KEY_PEPPER is not set.', {
        hint: 'Make one with: openssl rand -base64 48 — and give every process the same.',
      });
    }
    return createPeppers(typeof peppers === 'string' ? parsePeppers(peppers) : peppers);
  };

  const begin = (): Verifying => ({
    kernel,
    find: createKeyFinder(kernel),
    peppers: peppersOf(),
    cache,
    limiter,
    throttle: createThrottle(limiter, options.failures ?? failureDefault),
    compareBcrypt: inTurns(threads.compare),
    maxAgeMs: limits.maxAgeMs,
    used: (entry, now) => uses.note(entry, now),
    background(work) {
      const done: Promise<unknown> = work.catch(onError).finally(() => open.delete(done));
      open.add(done);
    },
  });

  const ready = (): Verifying => {
    if (verifying !== undefined) return verifying;
    verifying = begin();
    if (cacheOptions !== false) {
      if (listen === false) cache.trusted = true;
      else listener = watchKeys(cache, listen);
    }
    return verifying;
  };

  // async: without a pepper it ends in a rejection, as everything else that goes wrong
  const first = async (key: string, use: VerifyOptions): Promise<VerifiedKey> => verifyKey(ready(), key, use);

  const verifier: VerifierInside = {
    cache,
    verifying: ready,
    peppers: () => (verifying ?? ready()).peppers,
    verify: (key, use = {}) => (verifying === undefined ? first(key, use) : verifyKey(verifying, key, use)),
    async run(key, use, fn) {
      const verified = await verifier.verify(key, use);
      return withTenant(verified.context, () => fn(verified));
    },
    async close() {
      await listener?.close();
      await uses.flush();
      await Promise.all([...open, threads.close()]);
    },
  };
  return verifier;
}
