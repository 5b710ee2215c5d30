import { readFile } from 'node:fs/promises';
import { phases } from '../../../adopt/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import { adoptProgress } from '../../adopt-progress.ts';
import type { Command } from '../../command.ts';
import { hookAnswers, hooksOf, hooksOptions, revealing, yesOption } from './hooks-options.ts';
import { printDryRun } from './dry-run.ts';
import { paceOf, paceOptions } from './pace-options.ts';
import { adoptOf, fileOption, phaseOf, planFile } from './shared.ts';

export const runCommand: Command = {
  name: 'adopt run',
  summary: 'Carry the plan out while the application runs; goes on where it stopped.',
  description: `Phases: ${phases.slice(0, -1).join(' → ')}; contract is a command of its own. Ctrl-C and kill -9 leave it resumable: run the same command again.`,
  examples: [
    'tenantry adopt run --to shadow',
    'tenantry adopt run',
    'tenantry adopt run --max-rate 20000 --window 22:00-06:00 --time-zone Europe/Berlin',
    'tenantry adopt run --max-lag 16MB --parallel 4',
    'tenantry adopt run --hooks hooks.ts --dry-run',
  ],
  options: {
    ...fileOption,
    to: { type: 'string', value: 'PHASE', help: 'Stop after this phase. Defaults to enforced.' },
    ...paceOptions,
    force: {
      type: 'boolean',
      help: 'Go on although preflight found blockers, or shadow confirmed statements that change.',
    },
    ...hooksOptions,
    ...yesOption,
    'dry-run': {
      type: 'boolean',
      help: 'Change nothing: print the statements, and run the hooks in a transaction that is rolled back.',
    },
  },
  async run(input) {
    const { terminal } = input;
    const hooks = await hooksOf(input);
    const adopt = await adoptOf(input, { hooks });
    const path = input.option('file') ?? planFile;
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const open = await adopt.status();
    const resumes = open !== null && open.status === 'open';
    if (text === undefined && !resumes) {
      throw new TenantryError('TNT_USAGE', `${path} does not exist.`, { hint: 'Make it with: tenantry adopt plan' });
    }
    // of an adoption that is open the file may add what its steps have not come to; anything else is refused with its line
    const plan = text === undefined ? null : (await adopt.plan(text, { update: resumes })).plan;
    const to = phaseOf(input.option('to'), 'enforced');
    if (to === 'contract')
      throw new TenantryError('TNT_USAGE', 'Contract is a command of its own.', { hint: 'tenantry adopt contract' });
    const pace = paceOf(input);
    const force = input.flag('force');
    if (input.flag('dry-run')) return printDryRun(terminal, await adopt.dryRun(plan, { to, force }));
    const progress = adoptProgress(terminal);
    const reveals = revealing(terminal);
    const result = await adopt
      .run(plan, {
        to,
        force,
        ...hookAnswers(input),
        ...pace,
        signal: input.signal,
        onEvent(event) {
          progress.onEvent(event);
          reveals.onEvent(event);
        },
      })
      .catch((error: unknown) => {
        reveals.end();
        throw error;
      })
      .finally(() => progress.end());
    terminal.line(
      `${terminal.paint('good', result.phase)}: ${counted(result.tables, 'table')}, ${counted(result.rows, 'row')} filled, ${result.seconds.toFixed(1)} s`,
    );
    if (result.phase === 'shadow') terminal.line('Next: tenantry isolation shadow report — then: tenantry adopt run');
    terminal.result({ ...result, revealed: reveals.texts });
    if (!terminal.json) reveals.end();
    return 0;
  },
};
