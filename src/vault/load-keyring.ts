import { readFileSync, statSync } from 'node:fs';
import { TenantryError } from '../errors.ts';
import { type Keyring, parseKeys, ringOver } from './keyring.ts';

export interface LoadKeyringOptions {
  /** A file of lines `id:base64`, readable by its owner alone; the first wraps. Defaults to TENANTRY_VAULT_KEY_FILE. */
  readonly file?: string | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * The key ring of this process: from a file, or from the variable TENANTRY_VAULT_KEYS. A file is read again when it has
 * changed, so that keys are added and replaced without a restart. Undefined when there is neither.
 *
 * @throws TNT_CONFIG_INVALID for a file that is absent, open to others, or holds something else
 */
export function loadKeyring({ file, environment = process.env }: LoadKeyringOptions = {}): Keyring | undefined {
  const path = file ?? present(environment['TENANTRY_VAULT_KEY_FILE']);
  if (path !== undefined) return ringOver(keyFile(path));
  const text = present(environment['TENANTRY_VAULT_KEYS']);
  if (text === undefined) return undefined;
  const keys = parseKeys(text, 'TENANTRY_VAULT_KEYS');
  return ringOver(() => keys);
}

const present = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

/** Reads the file when it has changed. While it cannot be read the keys of before stay, unless one is missing. */
function keyFile(path: string): (missing?: string) => ReadonlyMap<string, Buffer> {
  let keys = readKeyFile(path);
  let seen = changedAt(path);
  let failed: unknown;
  return (missing) => {
    const now = changedAt(path);
    if (now !== seen) {
      seen = now;
      failed = undefined;
      try {
        keys = readKeyFile(path);
      } catch (error) {
        failed = error;
      }
    }
    if (missing !== undefined && failed !== undefined) throw failed;
    return keys;
  };
}

const changedAt = (path: string): bigint | undefined =>
  statSync(path, { bigint: true, throwIfNoEntry: false })?.ctimeNs;

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
