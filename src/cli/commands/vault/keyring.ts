import { TenantryError } from '../../../errors.ts';
import { createVaultRotation, type Keyring, loadKeyring, type VaultRotation } from '../../../vault/index.ts';
import type { CommandInput } from '../../command.ts';

/** The key ring of this command: from the configuration's file or the environment, never from the arguments. */
export async function keyringOf(input: CommandInput): Promise<Keyring> {
  const { vault } = await input.config();
  const keyring = loadKeyring({ file: vault.keyFile });
  if (keyring !== undefined) return keyring;
  throw new TenantryError('TNT_CONFIG_INVALID', 'There is no key ring.', {
    hint: 'Set TENANTRY_VAULT_KEYS or TENANTRY_VAULT_KEY_FILE; make a key with: tenantry vault keygen k1',
  });
}

/** With the migrating login, who sees every organization. */
export async function rotationOf(input: CommandInput): Promise<VaultRotation> {
  const { schema, vault } = await input.config();
  const keyring = await keyringOf(input);
  return createVaultRotation({ database: (await input.database()).admin(), keyring, schema, columns: vault.columns });
}
