import { TenantryError } from '../errors.ts';
import { inNetworks } from './addresses.ts';
import type { KeyEntry, VerifiedKey } from './entry.ts';
import type { KeyKind } from './format.ts';
import { originAllowed } from './origins.ts';

/** What a request with a key says of itself. */
export interface KeyUse {
  /** Kinds that this route takes. Defaults to secret keys alone: what stands in a public page opens nothing else. */
  readonly kinds?: readonly KeyKind[] | undefined;
  /** What the key must be permitted: `read`, `write`, `delete` or one of your own. */
  readonly permission?: string | undefined;
  /** The header `Origin`. */
  readonly origin?: string | undefined;
  /** Where the request comes from: see {@link clientAddress}. */
  readonly address?: string | undefined;
}

const secretAlone: readonly KeyKind[] = ['secret'];

/** One answer for what is no key, whoever asks. */
export function invalidKey(): TenantryError {
  return new TenantryError('TNT_KEY_INVALID', 'The API key is not valid.');
}

/** Whether a key holds a permission: by name, or all of them by `*`. */
export function keyCan({ permissions }: Pick<VerifiedKey, 'permissions'>, permission: string): boolean {
  return permissions.includes(permission) || permissions.includes('*');
}

/**
 * Whether a key that is right may be used now and here. Told to its holder alone.
 *
 * @throws TNT_KEY_INACTIVE, TNT_KEY_REFUSED
 */
export function admit(entry: KeyEntry, use: KeyUse, now: number): void {
  const { verified, off } = entry;
  if (off !== undefined) throw inactive(off);
  if (entry.endsAt <= now) throw inactive('expired');
  if (!(use.kinds ?? secretAlone).includes(verified.kind)) {
    throw refused('kind', verified.kind === 'widget' ? 'A widget key does not open this.' : 'This takes a widget key.');
  }
  if (entry.origins !== undefined && !originAllowed(entry.origins, use.origin)) {
    throw refused('origin', 'The API key is not allowed from this origin.');
  }
  if (entry.addresses !== undefined && !inNetworks(entry.addresses, use.address)) {
    throw refused('address', 'The API key is not allowed from this address.');
  }
  if (use.permission !== undefined && !keyCan(verified, use.permission)) {
    throw new TenantryError('TNT_KEY_REFUSED', `The API key lacks the permission ${use.permission}.`, {
      details: { reason: 'permission', permission: use.permission },
    });
  }
}

const said = {
  revoked: 'The API key was revoked.',
  disabled: 'The API key is switched off.',
  expired: 'The API key has expired.',
  namespace: 'The namespace of the API key is switched off.',
};

function inactive(reason: keyof typeof said): TenantryError {
  return new TenantryError('TNT_KEY_INACTIVE', said[reason], { details: { reason } });
}

function refused(reason: string, message: string): TenantryError {
  return new TenantryError('TNT_KEY_REFUSED', message, { details: { reason } });
}
