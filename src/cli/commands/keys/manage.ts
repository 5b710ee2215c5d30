import type { ApiKey, Keys } from '../../../keys/index.ts';
import type { Command, CommandInput, OptionSpec } from '../../command.ts';
import { only, organizationOption, printKey, there, withOrganizationKeys } from './shared.ts';
import { parseEnd, parseSpan } from './spans.ts';

export const list: Command = {
  name: 'keys list',
  summary: 'List the keys of an organization, newest first.',
  examples: ['tenantry keys list --organization acme', 'tenantry keys list --organization acme --limit 200 --json'],
  options: {
    ...organizationOption,
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 200. Defaults to 50.' },
    after: { type: 'string', value: 'CURSOR', help: 'The next page, as the last line of a page names it.' },
  },
  async run(input) {
    const [limit, cursor] = [input.number('limit'), input.option('after')];
    await withOrganizationKeys(input, async (keys) => {
      const page = await keys.list({
        ...(limit === undefined ? {} : { limit }),
        ...(cursor === undefined ? {} : { cursor }),
      });
      const { terminal } = input;
      terminal.table(
        ['id', 'begins', 'name', 'kind', 'environment', 'status', 'permissions', 'last used'],
        page.items.map((key) => [
          key.id,
          key.secrets[0]?.hint ?? '-',
          key.name,
          key.kind,
          key.environment,
          key.status,
          key.permissions.join(' '),
          key.lastUsedAt?.toISOString() ?? '-',
        ]),
      );
      if (page.items.length === 0) terminal.line('There is none. Make one with: tenantry keys create');
      if (page.nextCursor !== null) terminal.line(`More: --after ${page.nextCursor}`);
      terminal.result(page);
    });
  },
};

/** A command that does one thing to one key and shows it. */
function change(
  name: string,
  summary: string,
  example: string,
  options: Readonly<Record<string, OptionSpec>>,
  run: (keys: Keys, id: string, input: CommandInput) => Promise<ApiKey | null>,
): Command {
  return {
    name: `keys ${name}`,
    usage: 'ID',
    summary,
    examples: [`tenantry keys ${name} 0198c7a0-0000-7000-8000-000000000001 --organization acme${example}`],
    positionals: [1, 1],
    options: { ...organizationOption, ...options },
    async run(input) {
      await withOrganizationKeys(input, async (keys) => {
        const key = there(await run(keys, only(input), input));
        printKey(input, key);
        input.terminal.result(key);
      });
    },
  };
}

export const show = change('show', 'Show one key.', '', {}, (keys, id) => keys.get(id));
export const disable = change('disable', 'Switch a key off; enable switches it on again.', '', {}, (keys, id) =>
  keys.update(id, { enabled: false }),
);
export const enable = change('enable', 'Switch a key on again.', '', {}, (keys, id) =>
  keys.update(id, { enabled: true }),
);
export const expire = change(
  'expire',
  'Let a key end, now or at a moment to come.',
  ' --at 7d',
  { at: { type: 'string', value: 'SPAN|TIME', help: 'In 7d, or at a time with a zone. Defaults to now.' } },
  (keys, id, input) => keys.expire(id, parseEnd('at', input.option('at'))),
);
export const revoke = change(
  'revoke',
  'Revoke a key: refused everywhere within a second.',
  ' --reason "left the company"',
  {
    reason: { type: 'string', value: 'TEXT', help: 'Kept with the key and in the audit log.' },
    'restore-within': {
      type: 'string',
      value: 'SPAN',
      help: 'How long it can be taken back: 0, 1h, 7d. Defaults to 24h.',
    },
  },
  (keys, id, input) => {
    const [reason, restoreWithinMs] = [
      input.option('reason'),
      parseSpan('restore-within', input.option('restore-within')),
    ];
    return keys.revoke(id, {
      ...(reason === undefined ? {} : { reason }),
      ...(restoreWithinMs === undefined ? {} : { restoreWithinMs }),
    });
  },
);
export const restore = change('restore', 'Take a revocation back, while its time lasts.', '', {}, (keys, id) =>
  keys.restore(id),
);
