import { TenantryError } from '../../../errors.ts';
import { adoptProgress } from '../../adopt-progress.ts';
import type { Command } from '../../command.ts';
import { hookAnswers, hooksOf, hooksOptions } from './hooks-options.ts';
import { adoptOf, phaseOf } from './shared.ts';

export const undoCommand: Command = {
  name: 'adopt undo',
  summary: 'Take the adoption back, whole or down to a phase; the data stays.',
  examples: [
    'tenantry adopt undo --yes',
    'tenantry adopt undo --to backfill --yes',
    'tenantry adopt undo --hooks hooks.ts --yes',
  ],
  options: {
    to: {
      type: 'string',
      value: 'PHASE',
      help: 'The phase to go back to. Defaults to preflight: the schema as it was.',
    },
    yes: { type: 'boolean', short: 'y', help: 'Confirm: tenants are no longer kept apart afterwards.' },
    ...hooksOptions,
  },
  async run(input) {
    const { terminal } = input;
    if (!input.flag('yes'))
      throw new TenantryError('TNT_USAGE', 'Undo takes policies and tenant columns away.', {
        hint: 'Repeat with --yes.',
      });
    const adopt = await adoptOf(input, { hooks: await hooksOf(input) });
    const progress = adoptProgress(terminal);
    const result = await adopt
      .undo({
        to: phaseOf(input.option('to'), 'preflight'),
        ...hookAnswers(input),
        signal: input.signal,
        onEvent: progress.onEvent,
      })
      .finally(() => progress.end());
    terminal.result(result);
    if (result.differences.length === 0)
      terminal.line(
        `${terminal.paint('good', 'undone')} to ${result.phase}${result.phase === 'preflight' ? ': the schema is as it was' : ''}`,
      );
    for (const { table, original, copy } of result.kept)
      terminal.note(
        `${terminal.paint('warn', 'kept')} ${table} ${copy}: a copy of ${original} that was changed since; it and what refers to it stay`,
      );
    for (const line of result.differences) terminal.line(line);
    return result.differences.length === 0 ? 0 : 3;
  },
};
