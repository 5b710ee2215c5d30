import { TenantryError } from '../../errors.ts';
import { createIsolation } from '../../isolation/index.ts';
import type { Command } from '../command.ts';

export const protectCommand: Command = {
  name: 'protect',
  usage: 'TABLE',
  summary: 'Put a new table under tenancy: column, key, index, owner, grants, policies.',
  description: 'For a table with rows of its own, use: tenantry adopt',
  examples: [
    'tenantry protect public.notes',
    'tenantry protect notes --sql',
    'tenantry protect emails --owner-column user_id --mode shadow',
  ],
  positionals: [1, 1],
  options: {
    column: {
      type: 'string',
      value: 'NAME',
      help: 'The tenant column; added as uuid when absent. Defaults to tenant_id.',
    },
    'owner-column': {
      type: 'string',
      value: 'NAME',
      help: 'Rows belong to this user as well: mine, or nobody’s, or I may read all.',
    },
    'read-all': {
      type: 'string',
      value: 'PERMISSION',
      help: 'The permission that lets a member see everybody’s rows.',
    },
    mode: { type: 'string', value: 'MODE', help: 'off, shadow or enforced. Defaults to enforced.' },
    'keep-owner': { type: 'boolean', help: 'The table keeps its owner, and row-level security is forced.' },
    'revoke-temporary': { type: 'boolean', help: 'Also take the right to make temporary tables from PUBLIC.' },
    sql: { type: 'boolean', help: 'Print the statements and change nothing.' },
  },
  async run(input) {
    const { terminal } = input;
    const { schema } = await input.config();
    const database = await input.database();
    const mode = input.option('mode') ?? 'enforced';
    if (mode !== 'off' && mode !== 'shadow' && mode !== 'enforced') {
      throw new TenantryError('TNT_USAGE', '--mode must be off, shadow or enforced.');
    }
    const column = input.option('column');
    const ownerColumn = input.option('owner-column');
    const readAll = input.option('read-all');
    const table = input.positionals[0] ?? '';
    const statements = await createIsolation({ admin: database.admin(), schema }).protect(table, {
      mode,
      dryRun: input.flag('sql'),
      keepOwner: input.flag('keep-owner'),
      revokeTemporary: input.flag('revoke-temporary'),
      ...(column === undefined ? {} : { column }),
      ...(ownerColumn === undefined
        ? {}
        : { owner: { column: ownerColumn, ...(readAll === undefined ? {} : { readAll }) } }),
    });
    if (input.flag('sql')) {
      terminal.line('begin;');
      for (const { purpose, text } of statements) terminal.line(`-- ${purpose}\n${text.trim()};`);
      terminal.line('commit;');
    } else {
      for (const { purpose } of statements) terminal.line(`${terminal.paint('good', '✓')} ${purpose}`);
      terminal.line(`${table} is ${mode}. Look at it with: tenantry isolation status`);
    }
    terminal.result({ table, mode, dryRun: input.flag('sql'), statements });
  },
};
