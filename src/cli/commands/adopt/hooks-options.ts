import { createInterface } from 'node:readline/promises';
import { type AdoptEvent, type AdoptHooks, type Confirm, loadAdoptHooks } from '../../../adopt/index.ts';
import type { CommandInput } from '../../command.ts';
import type { Terminal } from '../../terminal.ts';

export const hooksOptions = {
  hooks: { type: 'string', value: 'FILE', help: 'Hooks of your own: the default export of a .ts or .js file.' },
  'without-hooks': {
    type: 'boolean',
    help: 'Go on without the hooks that the adoption was begun with; their work stays.',
  },
} as const;

export const yesOption = {
  yes: { type: 'boolean', short: 'y', help: 'Answer every question with yes.' },
} as const;

export async function hooksOf(input: CommandInput): Promise<AdoptHooks | undefined> {
  const file = input.option('hooks');
  return file === undefined ? undefined : loadAdoptHooks(file);
}

/** What a run is told about hooks by the options. Where nobody can be asked, a question stops it. */
export function hookAnswers(input: CommandInput): { withoutHooks: boolean; confirm?: Confirm } {
  const { terminal, signal } = input;
  const withoutHooks = input.flag('without-hooks');
  if (input.flag('yes')) return { withoutHooks, confirm: () => true };
  return terminal.interactive && !terminal.json
    ? { withoutHooks, confirm: (question) => ask(question, signal) }
    : { withoutHooks };
}

async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    lines.close();
  }
}

/** Keeps what hooks show until the command's own result has been written. */
export function revealing(terminal: Terminal): { onEvent(event: AdoptEvent): void; texts: string[]; end(): void } {
  const texts: string[] = [];
  return {
    texts,
    onEvent(event) {
      if (event.type === 'reveal') texts.push(event.text);
    },
    end() {
      if (texts.length > 0) terminal.line(`\n${terminal.paint('bold', 'Shown once, kept nowhere:')}`);
      // under --json a command that fails has no result to hold them
      for (const text of texts) (terminal.json ? terminal.note : terminal.line)(text);
    },
  };
}
