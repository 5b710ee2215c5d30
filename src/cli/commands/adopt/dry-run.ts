import type { DryRun, HookReport } from '../../../adopt/index.ts';
import type { Terminal } from '../../terminal.ts';

/** Prints what a run would do, as SQL with comments. @returns the exit code: 3 when a hook would fail */
export function printDryRun(terminal: Terminal, { findings, phases }: DryRun): number {
  for (const { level, message, fix } of findings)
    terminal.line(`-- ${level}: ${message}${fix === undefined ? '' : ` (${fix})`}`);
  for (const { phase, statements, hooks } of phases) {
    terminal.line(`\n-- phase: ${phase}`);
    for (const hook of hooks.filter(({ moment }) => moment === 'before')) printHook(terminal, hook);
    for (const { purpose, text } of statements) terminal.line(`-- ${purpose}\n${text.trim()};`);
    for (const hook of hooks.filter(({ moment }) => moment !== 'before')) printHook(terminal, hook);
  }
  terminal.line('\n-- nothing was changed');
  terminal.result({ findings, phases });
  return phases.some(({ hooks }) => hooks.some(({ outcome }) => outcome === 'would fail')) ? 3 : 0;
}

function printHook(terminal: Terminal, { name, organization, outcome, messages, questions, error }: HookReport): void {
  const of = organization === null ? '' : ` for ${organization}`;
  terminal.line(`-- hook "${name}"${of} ${outcome}${error === undefined ? '' : `: ${error}`}`);
  for (const question of questions) terminal.line(`--   asks: ${question}`);
  for (const message of messages) terminal.line(`--   ${message}`);
}
