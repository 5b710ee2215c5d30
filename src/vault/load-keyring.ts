import { readFileSync, statSync } from 'node:fs';
import { TenantryError } from '../errors.ts';
import { type Keyring, parseKeys, ringOver } from './keyring.ts';

export interface LoadKeyringOptions {
  /** A file of lines `id:base64`, readable by its owner alone; the first wraps. Defaults to TENANTRY_VAULT_KEY_FILE. */
  readonly file?: string | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * The key ring of this process: from a file, or from the variable TENANTRY_VAULT_KEYS. A file is read again when a key
 * is asked for that is not in it yet, so that a key can be added without a restart. Undefined when there is neither.
 *
 * @throws TNT_CONFIG_INVALID for a file that is absent, open to others, or holds something else
 */
export function loadKeyring({ file, environment = process.env }: LoadKeyringOptions = {}): Keyring | undefined {
  const path = file ?? present(environment['TENANTRY_VAULT_KEY_FILE']);
  if (path !== undefined) {
    let readAt = 0;
    let keys = readKeyFile(path);
    return ringOver(
      () => keys,
      () => {
        // a value that names a key of nowhere does not read the file each time
        if (Date.now() - readAt > 1000) {
          readAt = Date.now();
          keys = readKeyFile(path);
        }
        return keys;
      },
    );
  }
  const text = present(environment['TENANTRY_VAULT_KEYS']);
  if (text === undefined) return undefined;
  const keys = parseKeys(text, 'TENANTRY_VAULT_KEYS');
  return ringOver(() => keys);
}

const present = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

function readKeyFile(path: string): ReadonlyMap<string, Buffer> {
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TenantryError('TNT_CONFIG_INVALID', `The key file ${path} cannot be read.`, { cause });
  }
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new TenantryError('TNT_CONFIG_INVALID', `The key file ${path} is open to other users of this machine.`, {
      hint: `Run: chmod 600 ${path}`,
    });
  }
  return parseKeys(text, path);
}
