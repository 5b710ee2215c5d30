import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Environment } from '../directory/namespace-schema.ts';

/** What a key is for: `secret` for servers, `widget` for public pages. */
export type KeyKind = 'secret' | 'widget';

export type KeyPrefix = 'sk_live_' | 'sk_test_' | 'pk_widget_';

/** Characters of a key behind its prefix: what names it, 256 random bits, a checksum over prefix and both. */
const idLength = 12;
const secretLength = 43;
const checksumLength = 6;
const bodyLength = idLength + secretLength + checksumLength;
const prefixes: readonly KeyPrefix[] = ['sk_live_', 'sk_test_', 'pk_widget_'];
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const digitOf = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, alphabet.indexOf(String.fromCharCode(code))));

/**
 * Finds keys in any text; hand what it finds to {@link isKey}. For the configuration of a secret scanner: one expression,
 * without look-behind, that PCRE, RE2, Go, Rust and JavaScript read alike.
 */
export const keyPattern = '\\b(?:sk_live|sk_test|pk_widget)_[0-9A-Za-z]{61}\\b';

export function keyPrefix(kind: KeyKind, environment: Environment): KeyPrefix {
  if (kind === 'widget') return 'pk_widget_';
  return environment === 'production' ? 'sk_live_' : 'sk_test_';
}

/** Random characters of equal likelihood: bytes that would favor some are thrown away. */
export function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length - text.length + 8)) {
      if (byte < 248 && text.length < length) text += alphabet[byte % 62];
    }
  }
  return text;
}

/** CRC-32 in six characters: finds typing errors and tells scanners what is a key. It is no protection. */
export function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let i = 0; i < checksumLength; i++) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

export interface NewKey {
  /** The whole key: shown once, never stored. */
  readonly key: string;
  /** The part that names it in logs and look-ups. */
  readonly publicId: string;
  readonly hint: string;
}

export function newKey(prefix: KeyPrefix): NewKey {
  const publicId = randomText(idLength);
  const text = prefix + publicId + randomText(secretLength);
  return { key: text + checksum(text), publicId, hint: prefix + publicId };
}

/** The public part of a key of Tenantry whose checksum is right; undefined for anything else. */
export function publicIdOf(key: string): string | undefined {
  const prefix = prefixOf(key);
  if (prefix === undefined) return undefined;
  const end = key.length - checksumLength;
  if (!isBase62(key, prefix.length) || crc32(key.slice(0, end)) !== numberOf(key, end)) return undefined;
  return key.slice(prefix.length, prefix.length + idLength);
}

/** Whether a text has the prefix and length of a key of Tenantry, right or mistyped. */
export function prefixOf(key: string): KeyPrefix | undefined {
  for (const prefix of prefixes) {
    if (key.length === prefix.length + bodyLength && key.startsWith(prefix)) return prefix;
  }
  return undefined;
}

/**
 * Whether a text is a key of Tenantry, whose or whether any is not asked: prefix, length, letters and checksum are right.
 * Works without a database, as a secret scanner needs it.
 *
 * @example
 * ```ts
 * import { isKey, keyPattern } from 'tenantry';
 *
 * const found = text.match(new RegExp(keyPattern, 'g'))?.filter(isKey);
 * ```
 */
export function isKey(text: string): boolean {
  return publicIdOf(text) !== undefined;
}

/** What six characters of a checksum stand for. */
function numberOf(text: string, from: number): number {
  let value = 0;
  for (let i = from; i < text.length; i++) value = value * 62 + Number(digitOf[text.charCodeAt(i)]);
  return value;
}

function isBase62(text: string, from: number): boolean {
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122))) return false;
  }
  return true;
}
