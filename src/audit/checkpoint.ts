import { createHash, createPrivateKey, createPublicKey, KeyObject, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { TenantryError } from '../errors.ts';

/** A signed end of an organization's chain. Keep copies where those who can change the database cannot. */
export interface AuditCheckpoint {
  readonly tenantId: string;
  /** point: one of many. retention: what stood before it has been removed on purpose. */
  readonly kind: 'point' | 'retention';
  readonly seq: number;
  /** Hash of entry `seq`: 64 hexadecimal digits. */
  readonly hash: string;
  /** Time of entry `seq`: microseconds since 1970. */
  readonly atMicros: string;
  /** When it was signed, ISO 8601. */
  readonly createdAt: string;
  /** The first 16 hexadecimal digits of the SHA-256 of the public key (SPKI, DER). */
  readonly keyId: string;
  /** Ed25519 over {@link checkpointText}, base64. */
  readonly signature: string;
}

export const checkpointSchema = z.object({
  tenantId: z.guid(),
  kind: z.enum(['point', 'retention']),
  seq: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  atMicros: z.string().regex(/^-?\d{1,19}$/),
  createdAt: z.iso.datetime({ precision: 3 }),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  signature: z.base64().length(88),
});

type Unsigned = Omit<AuditCheckpoint, 'signature'>;

/** What is signed: one value per line, none of which can hold a line break. */
export const checkpointText = (c: Unsigned): string =>
  ['tenantry-audit-checkpoint-1', c.tenantId, c.kind, c.seq, c.hash, c.atMicros, c.createdAt, c.keyId].join('\n');

/** PEM text, or a key of node:crypto. */
export type KeyInput = string | KeyObject;

export interface Signer {
  readonly keyId: string;
  readonly publicKey: KeyObject;
  sign(checkpoint: Omit<Unsigned, 'keyId'>): AuditCheckpoint;
}

const idOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);

/** @throws TNT_AUDIT_KEY_MISSING when there is none, or it is no Ed25519 private key */
export function createSigner(input: KeyInput | undefined): Signer {
  const privateKey = keyFrom(input, 'private');
  const publicKey = createPublicKey(privateKey);
  const keyId = idOf(publicKey);
  return {
    keyId,
    publicKey,
    sign(checkpoint) {
      const unsigned = { ...checkpoint, keyId };
      const signature = sign(null, Buffer.from(checkpointText(unsigned)), privateKey).toString('base64');
      return { ...unsigned, signature };
    },
  };
}

/** Keys that checkpoints are believed by. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>;

/** @throws TNT_AUDIT_KEY_MISSING when one is no Ed25519 key */
export function trustedKeys(inputs: readonly KeyInput[]): TrustedKeys {
  return new Map(
    inputs.map((input) => {
      const key = keyFrom(input, 'public');
      return [idOf(key), key];
    }),
  );
}

/** Whether a trusted key signed it; undefined: signed with a key that is not among them. */
export function isGenuine(checkpoint: AuditCheckpoint, keys: TrustedKeys): boolean | undefined {
  const key = keys.get(checkpoint.keyId);
  if (key === undefined) return undefined;
  return verify(null, Buffer.from(checkpointText(checkpoint)), key, Buffer.from(checkpoint.signature, 'base64'));
}

function keyFrom(input: KeyInput | undefined, type: 'private' | 'public'): KeyObject {
  if (input === undefined || input === '') {
    throw new TenantryError('TNT_AUDIT_KEY_MISSING', 'There is no key to sign checkpoints of the audit log with.');
  }
  let key: KeyObject;
  try {
    if (input instanceof KeyObject)
      key = type === 'public' && input.type === 'private' ? createPublicKey(input) : input;
    else key = type === 'private' ? createPrivateKey(input) : createPublicKey(input);
  } catch {
    // the cause may quote the key
    throw new TenantryError('TNT_AUDIT_KEY_MISSING', `The ${type} key of the audit log cannot be read as PEM.`);
  }
  if (key.asymmetricKeyType !== 'ed25519' || key.type !== type) {
    throw new TenantryError('TNT_AUDIT_KEY_MISSING', `The ${type} key of the audit log is not an Ed25519 ${type} key.`);
  }
  return key;
}
