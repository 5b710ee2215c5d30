import type { Audit } from '../audit/index.ts';
import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import type { DataKeyCacheOptions } from './data-key-cache.ts';
import { createDataKeys, type DataKeys } from './data-keys.ts';
import type { Keyring } from './keyring.ts';
import type { Binding } from './sealed-value.ts';
import { Sealed } from './secret.ts';
import { createSecrets, type SecretStore, type Secrets, secretStore } from './secrets.ts';

export interface VaultOptions {
  /** From {@link loadKeyring} or {@link createKeyring}, or one over a key management service. */
  readonly keyring: Keyring;
  /** How many unwrapped data keys stay in memory, and how long. */
  readonly cache?: DataKeyCacheOptions;
  readonly audit: Pick<Audit, 'record'>;
}

/** Encryption of what an organization keeps secret. Everything here needs the context of a tenant. */
export interface Vault {
  readonly secrets: Secrets;
  /**
   * Encrypts a value for one place of a table of the application's own. The text is safe to store and to print.
   *
   * @param on inside a transaction, its kernel: no second connection is taken then, but for an organization's first key
   * @throws TNT_CONTEXT_MISSING, TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG
   * @example
   * ```ts
   * const sealed = await t.vault.seal(iban, { table: 'suppliers', column: 'iban', row: supplierId });
   * ```
   */
  seal(plain: string | Uint8Array, binding: Binding, on?: Kernel): Promise<string>;
  /** Decrypts what {@link seal} made, in the same place. @throws TNT_SECRET_DAMAGED, TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG */
  open(sealed: string, binding: Binding, on?: Kernel): Promise<Buffer>;
  /** The same, later and only when asked: it prints as `<encrypted>` meanwhile. */
  sealed(sealed: string, binding: Binding): Sealed;
  /** Secrets that a part of the system keeps for itself, under its own name: only the organization's jobs read them. */
  store(service: string): SecretStore;
  /** Forgets every unwrapped key; the next use reads them again. */
  forgetKeys(): void;
}

/** A vault, and the keys under it for what else is built on them. */
export function createVault(
  kernel: Kernel,
  { keyring, cache, audit }: VaultOptions,
): Vault & { readonly keys: DataKeys } {
  const keys = createDataKeys(kernel, keyring, cache);
  const open = (sealed: string, binding: Binding, on?: Kernel): Promise<Buffer> =>
    keys.open(currentTenant().tenantId, sealed, checked(binding), on);
  return {
    keys,
    secrets: createSecrets(kernel, keys, audit),
    seal: async (plain, binding, on) => {
      const place = checked(binding);
      return keys.sealing(currentTenant().tenantId, (sealer) => sealer.seal(plain, place), on);
    },
    open: async (sealed, binding, on) => open(sealed, binding, on),
    sealed: (sealed, binding) => new Sealed(async () => open(sealed, binding)),
    store(service) {
      if (!/^[a-z][a-z-]{0,62}$/.test(service) || service === 'application')
        throw new TenantryError('TNT_INPUT_INVALID', 'service: takes 1 to 63 of a-z and -, and is not "application".');
      return secretStore(createSecrets(kernel, keys, audit, service));
    },
    forgetKeys: () => keys.clear(),
  };
}

function checked(binding: Binding): Binding {
  for (const field of ['table', 'column', 'row'] as const) {
    if (typeof binding[field] !== 'string' || binding[field] === '')
      throw new TenantryError('TNT_INPUT_INVALID', `${field}: a sealed value belongs to a table, a column and a row.`);
  }
  return binding;
}
