import type { Command } from '../../command.ts';
import { adoptOf } from './shared.ts';

export const pauseCommand: Command = {
  name: 'adopt pause',
  summary: 'Let a running adoption stop between two transactions, and none begin.',
  description:
    'The state is in the database: the process that runs may be on another machine. It stops within a second.',
  examples: ['tenantry adopt pause'],
  async run(input) {
    const { terminal } = input;
    const { running } = await (await adoptOf(input)).pause();
    terminal.result({ paused: true, running });
    terminal.line(
      `${terminal.paint('good', 'paused')}${running ? ': the process that works on it stops at its next transaction' : ''}`,
    );
    terminal.line('Next: tenantry adopt resume');
  },
};

export const resumeCommand: Command = {
  name: 'adopt resume',
  summary: 'Take a pause back; run then goes on where it stopped.',
  examples: ['tenantry adopt resume'],
  async run(input) {
    const { terminal } = input;
    await (await adoptOf(input)).resume();
    terminal.result({ paused: false });
    terminal.line(`${terminal.paint('good', 'resumed')}. Next: tenantry adopt run`);
  },
};
