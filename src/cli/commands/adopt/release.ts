import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { Command } from '../../command.ts';
import { adoptOf } from './shared.ts';

export const releaseCommand: Command = {
  name: 'adopt release',
  summary: 'Take rows out of quarantine: give them to an organization, with what hangs on them.',
  usage: 'TABLE [KEY…]',
  description:
    'Keys are written as adopt verify lists them: "(17)". All in one transaction, and recorded, so that a later change of the row does not take it back.',
  examples: [
    'tenantry adopt release public.rental "(17)" "(18)" --organization north',
    'tenantry adopt release public.rental --all --organization north',
  ],
  options: {
    organization: { type: 'string', value: 'SLUG', help: 'The organization that gets the rows.' },
    all: { type: 'boolean', help: 'Every row of the table that is in quarantine.' },
  },
  positionals: [1, 10_000],
  async run(input) {
    const { terminal } = input;
    const [table = '', ...keys] = input.positionals;
    const organization = input.option('organization');
    if (organization === undefined) throw new TenantryError('TNT_USAGE', 'Say who gets the rows: --organization SLUG.');
    if (input.flag('all') === keys.length > 0)
      throw new TenantryError('TNT_USAGE', 'Name the keys of the rows, or --all.');
    const result = await (await adoptOf(input)).release({
      table,
      keys: input.flag('all') ? 'all' : keys,
      organization,
    });
    terminal.result(result);
    terminal.line(
      `${terminal.paint('good', 'released')} ${counted(result.released, 'row')} of ${table} to ${organization}`,
    );
    for (const key of result.missing) terminal.note(`${terminal.paint('warn', 'not in quarantine')} ${key}`);
    return result.missing.length === 0 ? 0 : 3;
  },
};
