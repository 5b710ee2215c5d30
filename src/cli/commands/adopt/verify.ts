import type { Command } from '../../command.ts';
import { adoptOf } from './shared.ts';

export const verifyCommand: Command = {
  name: 'adopt verify',
  summary: 'Compare every row’s tenant with its parents’, now.',
  examples: ['tenantry adopt verify'],
  async run(input) {
    const { terminal } = input;
    const findings = await (await adoptOf(input)).verify();
    terminal.result(findings);
    for (const finding of findings) terminal.line(`${terminal.paint('bad', finding.table)}: ${finding.message}`);
    if (findings.length === 0) terminal.line(terminal.paint('good', 'Every row has its parents’ tenant.'));
    return findings.length === 0 ? 0 : 3;
  },
};
