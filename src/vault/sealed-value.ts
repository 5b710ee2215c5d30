import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { TenantryError } from '../errors.ts';

/** Where a value belongs. It opens there and nowhere else. */
export interface Binding {
  readonly table: string;
  readonly column: string;
  /** The row's key as text; of a key with several parts, all of them. */
  readonly row: string;
}

const algorithm = 1; // AES-256-GCM
const nonceLength = 12;
const tagLength = 16;
const pattern = /^v1\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{39,})$/;

/** Encrypts under one data key. The text is `v1.<version of the data key>.<algorithm, nonce, ciphertext, tag in base64url>`. */
export function sealValue(
  dataKey: Buffer,
  version: number,
  tenantId: string,
  binding: Binding,
  plain: Uint8Array,
): string {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce);
  cipher.setAAD(boundTo(version, tenantId, binding));
  const body = [Buffer.from([algorithm]), nonce, cipher.update(plain), cipher.final()];
  return `v1.${version}.${Buffer.concat([...body, cipher.getAuthTag()]).toString('base64url')}`;
}

/** @throws TNT_SECRET_DAMAGED when it was changed, or belongs to another place or organization */
export function openValue(dataKey: Buffer, tenantId: string, binding: Binding, sealed: string): Buffer {
  const { version, payload } = parseSealed(sealed, binding);
  try {
    const nonce = payload.subarray(1, 1 + nonceLength);
    const decipher = createDecipheriv('aes-256-gcm', dataKey, nonce, { authTagLength: tagLength });
    decipher.setAAD(boundTo(version, tenantId, binding));
    decipher.setAuthTag(payload.subarray(-tagLength));
    return Buffer.concat([decipher.update(payload.subarray(1 + nonceLength, -tagLength)), decipher.final()]);
  } catch {
    throw damaged(binding, 'does not open: it was changed, or belongs to another row, column or organization');
  }
}

/** The data key that a value was sealed with. @throws TNT_SECRET_DAMAGED */
export function parseSealed(sealed: string, binding: Binding): { version: number; payload: Buffer } {
  const match = pattern.exec(sealed);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw damaged(
      binding,
      /^v\d+\./.test(sealed)
        ? 'has a form that this version of Tenantry does not know'
        : 'is no sealed value: it was never encrypted, or was cut off',
    );
  }
  const payload = Buffer.from(match[2], 'base64url');
  // base64url has several spellings of the same bytes: only ours counts
  if (payload.toString('base64url') !== match[2]) throw damaged(binding, 'is not written as it was sealed');
  if (payload[0] !== algorithm) throw damaged(binding, 'names an encryption that is not allowed');
  return { version: Number(match[1]), payload };
}

/** Every part with its length in front: no two places give the same bytes. */
function boundTo(version: number, tenantId: string, { table, column, row }: Binding): Buffer {
  return lengthPrefixed(['tenantry sealed value', 'v1', `${algorithm}`, `${version}`, tenantId, table, column, row]);
}

export function lengthPrefixed(parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

export function damaged({ table, column }: Binding, problem: string): TenantryError {
  return new TenantryError('TNT_SECRET_DAMAGED', `The value in ${table}.${column} ${problem}.`, {
    details: { table, column },
  });
}
