import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { TenantryError } from '../errors.ts';

/** One pepper: a secret of the servers, of 32 bytes or more, without which a stolen database verifies no guess. */
export interface Pepper {
  /** Stored beside each hash. 1 or more. */
  readonly version: number;
  readonly secret: string | Buffer;
}

export interface Peppers {
  /** The version that new hashes get. */
  readonly current: number;
  /** Newest first. */
  readonly versions: readonly number[];
  /** HMAC-SHA-256 of a key; undefined for a version that is not at hand. */
  digest(version: number, key: string): Buffer | undefined;
  /** The same under the current version. */
  fresh(key: string): Buffer;
}

const leastBytes = 32;

/**
 * @param peppers the first one is for new keys; the others still verify, and what they verify is hashed anew
 * @throws TNT_CONFIG_INVALID
 */
export function createPeppers(peppers: readonly Pepper[]): Peppers {
  const secrets = new Map<number, KeyObject>();
  for (const { version, secret } of peppers) {
    if (!Number.isInteger(version) || version < 1 || secrets.has(version)) {
      throw invalid('each needs a version of its own: 1, 2, 3, …');
    }
    const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret;
    if (bytes.length < leastBytes) throw invalid(`version ${version} is shorter than ${leastBytes} bytes`);
    secrets.set(version, createSecretKey(bytes));
  }
  const [first] = peppers;
  if (first === undefined) throw invalid('there is none');
  const hmac = (secret: KeyObject, key: string): Buffer => createHmac('sha256', secret).update(key).digest();
  const newest = secrets.get(first.version) as KeyObject;
  return {
    current: first.version,
    fresh: (key) => hmac(newest, key),
    versions: peppers.map(({ version }) => version),
    digest(version, key) {
      const secret = secrets.get(version);
      return secret === undefined ? undefined : hmac(secret, key);
    },
  };
}

/**
 * Reads `TENANTRY_KEY_PEPPER`: `1:secret`, or `2:new,1:old`, the first for new keys. A single secret without a number is
 * version 1.
 *
 * @throws TNT_CONFIG_INVALID
 */
export function parsePeppers(text: string): readonly Pepper[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.map((part) => {
    const numbered = /^(\d+):(.+)$/s.exec(part);
    if (numbered === null && parts.length > 1) throw invalid('of several, each is written VERSION:SECRET');
    return { version: Number(numbered?.[1] ?? 1), secret: numbered?.[2] ?? part };
  });
}

/** Compares in a time that does not depend on where they differ. Both are 32 bytes long. */
export function sameDigest(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function invalid(problem: string): TenantryError {
  return new TenantryError('TNT_CONFIG_INVALID', `Peppers of API keys (TENANTRY_KEY_PEPPER): ${problem}.`, {
    hint: 'Make one with: openssl rand -base64 48 — and keep it outside of the database.',
  });
}
