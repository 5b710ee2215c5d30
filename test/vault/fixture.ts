import { randomBytes } from 'node:crypto';
import { createVault, type Keyring, createKeyring, type VaultOptions } from '../../src/vault/index.ts';
import type { DirectoryFixture } from '../directory/fixture.ts';

export const key = (id: string, bytes: Uint8Array = randomBytes(32)) => ({ id, key: bytes });

/** A vault over the fixture's pool, as a process with this key ring would have it. */
export function vaultOver(f: DirectoryFixture, keyring: Keyring, options: Partial<VaultOptions> = {}) {
  return createVault(f.kernel, { keyring, audit: f.audit, ...options });
}

export const ring = (...ids: string[]): Keyring => createKeyring(ids.map((id) => key(id)));
