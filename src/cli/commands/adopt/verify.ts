import type { Command } from '../../command.ts';
import { hooksOf, hooksOptions } from './hooks-options.ts';
import { adoptOf, fileOption } from './shared.ts';
import { planToVerify, printRows, rowsOptions, verifyRows } from './verify-rows.ts';

export const verifyCommand: Command = {
  name: 'adopt verify',
  summary: 'Compare every row’s tenant with its parents’, and list the rows that decisions are about.',
  description:
    'Reads only. Before an adoption it goes by the plan file, in one by the data. Each row that joins tenants, has none or is used by several is listed with its key, where each way leads, and what is decided. In the CSV a text that a spreadsheet would take for a formula begins with an apostrophe. Exit code 3 while something is wrong or undecided.',
  examples: [
    'tenantry adopt verify',
    'tenantry adopt verify --csv rows.csv',
    'tenantry adopt verify --csv - | wc -l',
    'tenantry adopt verify --hooks hooks.ts',
  ],
  options: { ...fileOption, ...rowsOptions, hooks: hooksOptions.hooks },
  async run(input) {
    const { terminal } = input;
    const hooks = await hooksOf(input);
    const adopt = await adoptOf(input, { hooks });
    const plan = await planToVerify(input, adopt);
    const findings = plan === null ? await adopt.verify() : [];
    const rows = await verifyRows(input, adopt, plan);
    const reports = hooks === undefined ? [] : await adopt.verifyHooks();
    terminal.result({ findings, rows, ...(hooks === undefined ? {} : { hooks: reports }) });
    printRows(input, rows);
    for (const { name, messages, problem } of reports) {
      for (const message of messages) terminal.line(`${name}: ${message}`);
      if (problem !== null) terminal.line(`${terminal.paint('bad', name)}: ${problem}`);
    }
    for (const finding of findings) terminal.note(`${terminal.paint('bad', finding.table)}: ${finding.message}`);
    const undecided = rows.some((group) => group.decision === 'stop');
    if (findings.length === 0 && !undecided && input.option('csv') !== '-')
      terminal.line(
        terminal.paint('good', plan === null ? 'Every row has its parents’ tenant.' : 'Nothing is left to decide.'),
      );
    return findings.length === 0 && !undecided && reports.every(({ problem }) => problem === null) ? 0 : 3;
  },
};
