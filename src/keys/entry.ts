import type { BlockList } from 'node:net';
import type { TenantContextInput } from '../context/validate.ts';
import type { Rate } from '../metering/rate/types.ts';
import { networks } from './addresses.ts';
import type { Environment } from '../directory/namespace-schema.ts';
import type { KeyKind } from './format.ts';

/** Whose a key is and what it may: key → namespace → organization → principal → context. */
export interface VerifiedKey {
  readonly keyId: string;
  readonly tenantId: string;
  /** Undefined for a key of the whole organization. */
  readonly namespaceId: string | undefined;
  readonly environment: Environment;
  readonly kind: KeyKind;
  readonly permissions: readonly string[];
  /** Metric → number or null, as they stand on the key. */
  readonly limits: Readonly<Record<string, unknown>>;
  readonly rateLimit: Rate | undefined;
  /** What grants name: the key itself. */
  readonly principalId: string;
  /** For withTenant. */
  readonly context: TenantContextInput;
}

/** Why a key that is right is refused all the same. */
export type KeyOff = 'revoked' | 'disabled' | 'namespace' | 'expired';

/** What find_api_key() answered, ready to be asked. */
export interface KeyEntry {
  readonly secretId: string;
  hash: Buffer | undefined;
  version: number;
  /** Of an imported key while it is all that there is to compare with. */
  readonly bcrypt: string | undefined;
  readonly off: Exclude<KeyOff, 'expired'> | undefined;
  /** On the clock of performance.now(). */
  readonly endsAt: number;
  readonly freshUntil: number;
  readonly origins: readonly string[] | undefined;
  readonly addresses: BlockList | undefined;
  readonly verified: VerifiedKey;
  /** When it was last accepted; 0 when that was written down. */
  usedAt: number;
}

interface Answer {
  readonly keyId: string;
  readonly tenantId: string;
  readonly tenantKey?: string;
  readonly secretId: string;
  readonly namespaceId?: string;
  readonly environment: Environment;
  readonly kind: KeyKind;
  readonly permissions: readonly string[];
  readonly origins?: readonly string[];
  readonly addresses?: readonly string[];
  readonly limits: Readonly<Record<string, unknown>>;
  readonly rate?: Rate;
  readonly hash?: string;
  readonly version?: number;
  readonly bcrypt?: string;
  readonly off?: Exclude<KeyOff, 'expired'>;
}

/**
 * @param text what find_api_key() gave: the milliseconds it has left, where it ends, and its JSON
 * @param askedAt when it was asked for: nothing older than that is in it
 */
export function keyEntry(text: string, askedAt: number, maxAgeMs: number): KeyEntry {
  const start = text.indexOf('{');
  const answer = JSON.parse(start === 0 ? text : text.slice(start)) as Answer;
  const { keyId, tenantId, tenantKey, namespaceId, environment, kind, permissions, limits, rate } = answer;
  const context: TenantContextInput =
    tenantKey === undefined
      ? namespaceId === undefined
        ? { tenantId, apiKeyId: keyId }
        : { tenantId, namespaceId, apiKeyId: keyId }
      : { tenantId, tenantKey, namespaceId, apiKeyId: keyId };
  return {
    secretId: answer.secretId,
    hash: answer.hash === undefined ? undefined : Buffer.from(answer.hash, 'base64'),
    version: answer.version ?? 0,
    bcrypt: answer.bcrypt,
    off: answer.off,
    endsAt: start === 0 ? Number.POSITIVE_INFINITY : askedAt + Number(text.slice(0, start)),
    freshUntil: askedAt + maxAgeMs,
    origins: answer.origins,
    addresses: answer.addresses === undefined ? undefined : networks(answer.addresses),
    verified: {
      keyId,
      tenantId,
      namespaceId,
      environment,
      kind,
      permissions,
      limits,
      rateLimit: rate,
      principalId: keyId,
      context,
    },
    usedAt: 0,
  };
}
