import { writeFile } from 'node:fs/promises';
import { TenantryError } from '../../../errors.ts';
import { generateKey } from '../../../vault/index.ts';
import type { Command } from '../../command.ts';

export const keygenCommand: Command = {
  name: 'vault keygen',
  usage: 'ID',
  summary: 'Make a key-encryption key, for the key ring’s file or variable.',
  description:
    'Prints ID:base64, or writes it to a new file that its owner alone may read. Keep a copy apart from the database: without it nothing opens again.',
  examples: ['tenantry vault keygen k1 --out vault-keys', 'tenantry vault keygen k2'],
  positionals: [1, 1],
  options: { out: { type: 'string', value: 'FILE', help: 'Write it there; the file must not exist.' } },
  async run(input) {
    const line = generateKey(input.positionals[0] ?? '');
    const file = input.option('out');
    if (file === undefined) {
      input.terminal.line(line);
      input.terminal.result({ key: line });
      return;
    }
    try {
      await writeFile(file, `${line}\n`, { mode: 0o600, flag: 'wx' });
    } catch (cause) {
      throw new TenantryError('TNT_USAGE', `--out: ${file} cannot be written, or exists already.`, { cause });
    }
    input.terminal.line(`written to ${file}; set TENANTRY_VAULT_KEY_FILE=${file}`);
    input.terminal.result({ file });
  },
};
