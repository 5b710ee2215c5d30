import type { Terminal } from '../terminal.ts';

/** Tells the story: numbered chapters, facts that line up, and time since the start. */
export interface Narrator {
  chapter(title: string): void;
  say(text: string): void;
  fact(name: string, value: string): void;
  good(text: string): void;
  bad(text: string): void;
}

export function createNarrator(terminal: Terminal): Narrator {
  let number = 0;
  const started = performance.now();
  const elapsed = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  return {
    chapter(title) {
      number += 1;
      terminal.line();
      terminal.line(
        `${terminal.paint('accent', `${number}.`)} ${terminal.paint('bold', title)} ${terminal.paint('dim', `(${elapsed()})`)}`,
      );
    },
    say: (text) => terminal.line(`   ${text}`),
    fact: (name, value) => terminal.line(`   ${terminal.paint('dim', name.padEnd(28))} ${value}`),
    good: (text) => terminal.line(`   ${terminal.paint('good', '✓')} ${text}`),
    bad: (text) => terminal.line(`   ${terminal.paint('bad', '✗')} ${text}`),
  };
}

export const count = (value: number): string => Math.round(value).toLocaleString('en-US');
