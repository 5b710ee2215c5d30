import { createAuditWatch, type AuditWatch } from '../../../audit/index.ts';
import { createKernel } from '../../../database/kernel.ts';
import type { Command, CommandInput } from '../../command.ts';

async function watchOf(input: CommandInput): Promise<AuditWatch> {
  const { schema } = await input.config();
  return createAuditWatch(createKernel((await input.database()).admin(), schema));
}

export const watch: Command = {
  name: 'audit watch',
  usage: 'TABLE',
  summary: 'Log the row changes of a table in the audit log, with old and new values.',
  description:
    'Values of columns that look like secrets by name (password, token, hash …) and of bytea columns are never logged, also of columns that are added later.',
  examples: ['tenantry audit watch public.orders', 'tenantry audit watch orders --without notes --with token_count'],
  positionals: [1, 1],
  options: {
    without: { type: 'string', value: 'COLUMN', multiple: true, help: 'Its values stay out of the log; repeat it.' },
    with: {
      type: 'string',
      value: 'COLUMN',
      multiple: true,
      help: 'Looks like a secret by name and is none; repeat it.',
    },
    'tenant-column': {
      type: 'string',
      value: 'NAME',
      help: 'Whose row it is. Defaults to that of the protected table.',
    },
  },
  async run(input) {
    const tenantColumn = input.option('tenant-column');
    const made = await (await watchOf(input)).watch(input.positionals[0] ?? '', {
      without: input.options('without'),
      with: input.options('with'),
      ...(tenantColumn === undefined ? {} : { tenantColumn }),
    });
    input.terminal.line(
      `${input.terminal.paint('good', 'watching')} ${made.table}, organization in ${made.tenantColumn}`,
    );
    if (made.without.length > 0) input.terminal.line(`left out: ${made.without.join(', ')}`);
    input.terminal.result(made);
  },
};

export const unwatch: Command = {
  name: 'audit unwatch',
  usage: 'TABLE',
  summary: 'Log the row changes of a table no longer.',
  examples: ['tenantry audit unwatch public.orders'],
  positionals: [1, 1],
  async run(input) {
    const table = input.positionals[0] ?? '';
    await (await watchOf(input)).unwatch(table);
    input.terminal.line(`${table} is watched no longer; what has been logged stays.`);
    input.terminal.result({ table });
  },
};

export const watched: Command = {
  name: 'audit watched',
  summary: 'List the tables whose row changes are logged.',
  examples: ['tenantry audit watched', 'tenantry audit watched --json'],
  async run(input) {
    const tables = await (await watchOf(input)).watched();
    input.terminal.table(
      ['table', 'organization in', 'left out'],
      tables.map(({ table, tenantColumn, without }) => [table, tenantColumn, without.join(', ') || '-']),
    );
    if (tables.length === 0) input.terminal.line('There is none. Add one with: tenantry audit watch TABLE');
    input.terminal.result(tables);
  },
};
