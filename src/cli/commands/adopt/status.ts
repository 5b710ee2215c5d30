import { printStatus } from '../../adopt-status.ts';
import type { Command } from '../../command.ts';
import { adoptOf } from './shared.ts';

export const statusCommand: Command = {
  name: 'adopt status',
  summary: 'Show how far the adoption is: phases, rows, rate, time left, and what waits for whom.',
  description: 'Reads only. The same is in the view tenantry.adoption_status and the table tenantry.adoption_steps.',
  examples: ['tenantry adopt status', 'tenantry adopt status --json', 'watch -n 2 tenantry adopt status'],
  async run(input) {
    const { terminal } = input;
    const found = await (await adoptOf(input)).status();
    terminal.result(found);
    if (found === null) terminal.line('No adoption yet. Begin with: tenantry adopt inspect');
    else printStatus(terminal, found);
  },
};
