import type { Command } from '../../command.ts';
import { hooksOf, hooksOptions } from './hooks-options.ts';
import { adoptOf } from './shared.ts';

export const verifyCommand: Command = {
  name: 'adopt verify',
  summary: 'Compare every row’s tenant with its parents’, now.',
  examples: ['tenantry adopt verify', 'tenantry adopt verify --hooks hooks.ts'],
  options: { hooks: hooksOptions.hooks },
  async run(input) {
    const { terminal } = input;
    const hooks = await hooksOf(input);
    const adopt = await adoptOf(input, { hooks });
    const findings = await adopt.verify();
    const reports = hooks === undefined ? [] : await adopt.verifyHooks();
    terminal.result(hooks === undefined ? findings : { findings, hooks: reports });
    for (const { name, messages, problem } of reports) {
      for (const message of messages) terminal.line(`${name}: ${message}`);
      if (problem !== null) terminal.line(`${terminal.paint('bad', name)}: ${problem}`);
    }
    for (const finding of findings) terminal.line(`${terminal.paint('bad', finding.table)}: ${finding.message}`);
    if (findings.length === 0) terminal.line(terminal.paint('good', 'Every row has its parents’ tenant.'));
    return findings.length === 0 && reports.every(({ problem }) => problem === null) ? 0 : 3;
  },
};
