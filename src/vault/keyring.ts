import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { TenantryError } from '../errors.ts';

const algorithm = 1; // AES-256-GCM
const nonceLength = 12;
const tagLength = 16;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$/;

/**
 * The key-encryption keys. They wrap the organizations' data keys and never encrypt anything else. A key management
 * service fits in here: `wrap` and `unwrap` are then its calls, and `ids` the keys it may use.
 */
export interface Keyring {
  /** Id of the key that wraps from now on. */
  readonly current: string;
  /** Ids of every key that can unwrap. */
  readonly ids: readonly string[];
  /** Encrypts a data key of 32 bytes with the current key. What `context` holds must be given again to unwrap. */
  wrap(dataKey: Buffer, context: Buffer): Promise<{ readonly keyId: string; readonly wrapped: Buffer }>;
  /** @throws TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG, both naming the key's id */
  unwrap(keyId: string, wrapped: Buffer, context: Buffer): Promise<Buffer>;
}

/** One key-encryption key. */
export interface KeyringKey {
  /** 1 to 255 of A–Z, a–z, 0–9 and ._:/- */
  readonly id: string;
  /** 32 random bytes. */
  readonly key: Uint8Array;
}

/**
 * A key ring over keys that the process holds. The first wraps, all unwrap.
 *
 * @throws TNT_CONFIG_INVALID naming the key's id, never its bytes
 */
export function createKeyring(keys: readonly KeyringKey[]): Keyring {
  const map = mapOf(keys, 'keyring');
  return ringOver(() => map);
}

/** A ring over the keys as they are now, the first of which wraps; `missing` names one that was not among them. */
export function ringOver(read: (missing?: string) => ReadonlyMap<string, Buffer>): Keyring {
  const keyOf = (id: string): Buffer => {
    const key = read().get(id) ?? read(id).get(id);
    if (key !== undefined) return key;
    throw new TenantryError('TNT_VAULT_KEY_MISSING', `The key ring has no key "${id}".`, { details: { keyId: id } });
  };
  const currentId = (): string => read().keys().next().value ?? '';
  return {
    get current() {
      return currentId();
    },
    get ids() {
      return [...read().keys()];
    },
    async wrap(dataKey, context) {
      const keyId = currentId();
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', keyOf(keyId), nonce);
      const head = Buffer.from([algorithm]);
      cipher.setAAD(Buffer.concat([head, context]));
      const body = Buffer.concat([cipher.update(dataKey), cipher.final()]);
      return { keyId, wrapped: Buffer.concat([head, nonce, body, cipher.getAuthTag()]) };
    },
    async unwrap(keyId, wrapped, context) {
      const key = keyOf(keyId);
      try {
        if (wrapped[0] !== algorithm) throw new Error('another algorithm');
        const head = wrapped.subarray(0, 1);
        const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(1, 1 + nonceLength), {
          authTagLength: tagLength,
        });
        decipher.setAAD(Buffer.concat([head, context]));
        decipher.setAuthTag(wrapped.subarray(-tagLength));
        return Buffer.concat([decipher.update(wrapped.subarray(1 + nonceLength, -tagLength)), decipher.final()]);
      } catch {
        throw new TenantryError(
          'TNT_VAULT_KEY_WRONG',
          `The key "${keyId}" of the key ring does not open what was wrapped with "${keyId}".`,
          { details: { keyId } },
        );
      }
    },
  };
}

/** A new key in the form that the key ring's file and variable take: `id:base64`. */
export function generateKey(id: string): string {
  assertId(id, 'id');
  return `${id}:${randomBytes(32).toString('base64')}`;
}

/**
 * Reads keys written as `id:base64`, separated by commas or lines; `#` begins a comment.
 *
 * @param source named by errors
 * @throws TNT_CONFIG_INVALID naming source and place, never what stands there
 */
export function parseKeys(text: string, source: string): ReadonlyMap<string, Buffer> {
  const keys: KeyringKey[] = [];
  const entries = text
    .split('\n')
    .flatMap((line) => line.replace(/#.*$/, '').split(','))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  for (const [index, entry] of entries.entries()) {
    const colon = entry.lastIndexOf(':');
    if (colon < 1) throw invalid(source, `entry ${index + 1} is not of the form id:base64`);
    const encoded = entry.slice(colon + 1);
    const key = Buffer.from(encoded, 'base64');
    if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded)) throw invalid(source, `entry ${index + 1} is not base64`);
    keys.push({ id: entry.slice(0, colon), key });
  }
  return mapOf(keys, source);
}

function mapOf(keys: readonly KeyringKey[], source: string): ReadonlyMap<string, Buffer> {
  const map = new Map<string, Buffer>();
  for (const [index, { id, key }] of keys.entries()) {
    // an id that is none may be a key that was pasted in the wrong place: it is not repeated
    if (!idPattern.test(id))
      throw invalid(source, `the id of entry ${index + 1} is not 1 to 255 of A-Z, a-z, 0-9 and ._:/-`);
    if (key.length !== 32) throw invalid(source, `key "${id}" has ${key.length} bytes instead of 32`);
    if (map.has(id)) throw invalid(source, `key "${id}" is there twice`);
    map.set(id, Buffer.from(key));
  }
  if (map.size === 0) throw invalid(source, 'there is no key in it');
  return map;
}

function assertId(id: string, source: string): void {
  if (!idPattern.test(id)) throw invalid(source, 'takes 1 to 255 of A-Z, a-z, 0-9 and ._:/-');
}

const invalid = (source: string, problem: string): TenantryError =>
  new TenantryError('TNT_CONFIG_INVALID', `${source}: ${problem}.`, {
    hint: 'Make a key with: tenantry vault keygen ID — and see docs/guides/vault.md',
  });
