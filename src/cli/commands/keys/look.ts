import { TenantryError } from '../../../errors.ts';
import { isKey, keyPattern } from '../../../keys/index.ts';
import type { Command } from '../../command.ts';
import { readInput, withKeys } from './shared.ts';

export const check: Command = {
  name: 'keys check',
  summary: 'Tell whether a text is a key, by its checksum: no database is asked.',
  description: 'The text is read from standard input. Ends with 3 when it is none.',
  examples: ['tenantry keys check < key.txt'],
  async run(input) {
    const right = isKey(await readInput('the text'));
    input.terminal.line(right ? 'It is a key of Tenantry.' : 'It is no key of Tenantry, or it is mistyped.');
    input.terminal.result({ key: right });
    return right ? 0 : 3;
  },
};

export const pattern: Command = {
  name: 'keys pattern',
  summary: 'Print the regular expression for secret scanners.',
  examples: ['tenantry keys pattern', 'git grep -nP "$(tenantry keys pattern)"'],
  async run(input) {
    input.terminal.line(keyPattern);
    input.terminal.result({ pattern: keyPattern });
  },
};

export const whose: Command = {
  name: 'keys whose',
  summary: 'Tell whose a key is and what it may.',
  description:
    'The key is read from standard input and takes TENANTRY_KEY_PEPPER. A key that is limited to origins or addresses says so instead.',
  examples: ['tenantry keys whose < key.txt'],
  async run(input) {
    const key = await readInput('the key');
    await withKeys(input, async (keys) => {
      const found = await keys.verify(key, { kinds: ['secret', 'widget'] });
      const { context: _, principalId: __, ...shown } = found;
      for (const [name, value] of Object.entries(shown)) {
        const text = typeof value === 'object' ? JSON.stringify(value) : (value ?? '-');
        input.terminal.line(`${name.padEnd(12)} ${text}`);
      }
      input.terminal.result(shown);
    });
  },
};

export const reportLeak: Command = {
  name: 'keys report-leak',
  summary: 'Revoke a key that was found in public, for good, and tell its organization.',
  description: 'The key is read from standard input.',
  examples: ['tenantry keys report-leak --by "ann@example.com" --url https://paste.example.com/1 < key.txt'],
  options: {
    by: { type: 'string', value: 'NAME', help: 'Who found it. Written to the audit log.' },
    url: { type: 'string', value: 'URL', help: 'Where.' },
  },
  async run(input) {
    const reporter = input.option('by');
    if (reporter === undefined) throw new TenantryError('TNT_USAGE', '--by is needed.');
    const key = await readInput('the key');
    const url = input.option('url');
    await withKeys(input, async (keys) => {
      const revoked = await keys.reportLeak({ key, reporter, ...(url === undefined ? {} : { url }) });
      input.terminal.line(
        revoked ? 'Revoked for good.' : 'Nothing to revoke: it is no key, or was revoked for good before.',
      );
      input.terminal.result({ revoked });
    });
  },
};
