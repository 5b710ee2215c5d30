import { TenantryError } from '../../../errors.ts';
import { adoptProgress } from '../../adopt-progress.ts';
import type { Command } from '../../command.ts';
import { hookAnswers, hooksOf, hooksOptions, revealing, yesOption } from './hooks-options.ts';
import { adoptOf } from './shared.ts';

export const hooksCommand: Command = {
  name: 'adopt hooks',
  summary: 'Run the hooks of organizations that came since the last run.',
  description:
    'The old application goes on making root rows while the adoption is open; each becomes an organization at once, and gets its hooks here or by the next run.',
  examples: ['tenantry adopt hooks --hooks hooks.ts'],
  options: { hooks: hooksOptions.hooks, ...yesOption },
  async run(input) {
    const { terminal } = input;
    const hooks = await hooksOf(input);
    if (hooks === undefined) throw new TenantryError('TNT_USAGE', 'Say which hooks: --hooks FILE.');
    const progress = adoptProgress(terminal);
    const reveals = revealing(terminal);
    const ran = await (await adoptOf(input, { hooks })).hooks({
      ...hookAnswers(input),
      signal: input.signal,
      onEvent(event) {
        progress.onEvent(event);
        reveals.onEvent(event);
      },
    });
    terminal.line(`${terminal.paint('good', 'done')}: ${ran} ${ran === 1 ? 'hook' : 'hooks'} ran`);
    terminal.result({ ran, revealed: reveals.texts });
    if (!terminal.json) reveals.end();
  },
};
