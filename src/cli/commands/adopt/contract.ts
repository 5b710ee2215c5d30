import { readFile } from 'node:fs/promises';
import { adoptProgress } from '../../adopt-progress.ts';
import type { Command } from '../../command.ts';
import { hookAnswers, hooksOf, hooksOptions } from './hooks-options.ts';
import { adoptOf, fileOption, planFile } from './shared.ts';

export const contractCommand: Command = {
  name: 'adopt contract',
  summary: 'Drop the global unique keys that the plan makes unique per tenant, when the last old code is gone.',
  description:
    'The key per tenant was made beside the global one in tighten; here the global one goes. `tenantry adopt undo --to enforced`\n' +
    'brings it back until two tenants have the same value: then it lists the rows and changes nothing. ON CONFLICT that names\n' +
    'such a key is looked for in pg_stat_statements first, or asked about.',
  examples: ['tenantry adopt contract', 'tenantry adopt contract --yes --json'],
  options: {
    ...fileOption,
    force: { type: 'boolean', help: 'Go on although the application sends ON CONFLICT with a key that goes.' },
    yes: { type: 'boolean', short: 'y', help: 'Answer every question with yes.' },
    ...hooksOptions,
  },
  async run(input) {
    const { terminal } = input;
    const adopt = await adoptOf(input, { hooks: await hooksOf(input) });
    const text = await readFile(input.option('file') ?? planFile, 'utf8').catch(() => undefined);
    const open = (await adopt.status())?.status === 'open';
    const plan = text === undefined || !open ? undefined : (await adopt.plan(text, { update: true })).plan;
    const progress = adoptProgress(terminal);
    const result = await adopt
      .contract({
        ...(plan === undefined ? {} : { plan }),
        force: input.flag('force'),
        ...hookAnswers(input),
        signal: input.signal,
        onEvent: progress.onEvent,
      })
      .finally(() => progress.end());
    terminal.result(result);
    for (const index of result.retired)
      terminal.line(`${terminal.paint('good', 'gone')} ${index}: unique per tenant now`);
    if (result.retired.length === 0)
      terminal.line('No global unique key had to go: the plan makes none per tenant that was there.');
    for (const { table, name, reason } of result.undecided)
      terminal.note(`${terminal.paint('warn', 'undecided')} ${table} ${name} stays global: ${reason}`);
    if (result.undecided.length > 0)
      terminal.line('To decide them: uniques in the plan, then: tenantry adopt contract');
    return 0;
  },
};
