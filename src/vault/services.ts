import type { Audit } from '../audit/index.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { loadKeyring } from './load-keyring.ts';
import { type AcrossTenants, createOAuth, type OAuth, type OAuthOptions } from './oauth/index.ts';
import { createVault, type Vault, type VaultOptions } from './vault.ts';

export interface VaultServicesOptions {
  readonly kernel: Kernel;
  readonly audit: Pick<Audit, 'record'>;
  readonly acrossTenants?: AcrossTenants | undefined;
  /** The key ring comes from the environment unless it is given here. */
  readonly vault?: Partial<Omit<VaultOptions, 'audit'>> | undefined;
  readonly oauth?: OAuthOptions | undefined;
}

export interface VaultServices {
  /** @throws TNT_CONFIG_INVALID when there is no key ring */
  vault(): Vault;
  /** @throws TNT_CONFIG_INVALID when there is no key ring, or OAuth was not configured */
  oauth(): OAuth;
  /** Forgets what is in memory. */
  close(): void;
}

/** Vault and OAuth, built when first asked for: who uses neither needs no keys. */
export function createVaultServices({
  kernel,
  audit,
  acrossTenants,
  vault = {},
  oauth,
}: VaultServicesOptions): VaultServices {
  let made: ReturnType<typeof createVault> | undefined;
  let connections: OAuth | undefined;
  const opened = (): ReturnType<typeof createVault> => {
    if (made !== undefined) return made;
    const keyring = vault.keyring ?? loadKeyring();
    if (keyring === undefined) {
      throw new TenantryError('TNT_CONFIG_INVALID', 'vault: there is no key ring, and so nothing can be encrypted.', {
        hint: 'Set TENANTRY_VAULT_KEYS or TENANTRY_VAULT_KEY_FILE; make a key with: tenantry vault keygen k1',
      });
    }
    made = createVault(kernel, { ...vault, keyring, audit });
    return made;
  };
  return {
    vault: opened,
    oauth() {
      if (oauth === undefined) {
        throw new TenantryError('TNT_CONFIG_INVALID', 'oauth: there are no providers and no redirectUris.', {
          hint: 'Pass oauth: { providers, redirectUris } to createTenantry.',
        });
      }
      connections ??= createOAuth(kernel, oauth, { keys: opened().keys, audit, acrossTenants });
      return connections;
    },
    close: () => made?.forgetKeys(),
  };
}
