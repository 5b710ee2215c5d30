import { TenantryError } from '../../../errors.ts';
import type { Command } from '../../command.ts';
import { adoptOf, printClasses } from './shared.ts';

export const classifyCommand: Command = {
  name: 'adopt classify',
  summary: 'Show each table’s class with its reason; writes nothing.',
  examples: [
    'tenantry adopt classify --root public.shops',
    'tenantry adopt classify --constant "System Tenant" --json',
  ],
  options: {
    root: { type: 'string', value: 'TABLE', help: 'The table whose rows are the tenants. Defaults to the likeliest.' },
    constant: { type: 'string', value: 'NAME', help: 'One organization of this name takes every row.' },
  },
  async run(input) {
    const adopt = await adoptOf(input, { migrated: false });
    const constant = input.option('constant');
    const root = input.option('root') ?? (constant === undefined ? (await adopt.inspect()).roots[0]?.table : undefined);
    if (root === undefined && constant === undefined)
      throw new TenantryError('TNT_USAGE', 'No table looks like the tenant: use --root or --constant.');
    const classes = await adopt.classify({
      ...(root === undefined ? {} : { root }),
      ...(constant === undefined ? {} : { constant }),
    });
    printClasses(input, classes);
    input.terminal.result(classes);
    return classes.some((table) => table.class === 'undecided') ? 3 : 0;
  },
};
