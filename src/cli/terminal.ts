import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];
export type Tone = 'plain' | 'good' | 'bad' | 'warn' | 'dim' | 'bold' | 'accent';

const styles: Record<Tone, Style> = {
  plain: 'reset',
  good: 'green',
  bad: 'red',
  warn: 'yellow',
  dim: 'dim',
  bold: 'bold',
  accent: 'cyan',
};

/** A long piece of work, shown while it goes on. */
export interface Progress {
  update(done: number, total: number, note?: string): void;
  end(note?: string): void;
}

/** Where a command writes: people read standard output, messages and progress go to standard error. */
export interface Terminal {
  readonly json: boolean;
  /** A line of the command's result. Silent under --json. */
  line(text?: string): void;
  /** The one result of a command under --json. */
  result(value: unknown): void;
  /** A line beside the result: warnings, hints. */
  note(text: string): void;
  paint(tone: Tone, text: string): string;
  table(header: readonly string[], rows: readonly (readonly string[])[]): void;
  progress(label: string): Progress;
  /** True when a person can be asked. */
  readonly interactive: boolean;
}

export interface TerminalOptions {
  json?: boolean;
  out?: NodeJS.WriteStream;
  err?: NodeJS.WriteStream;
  environment?: Readonly<Record<string, string | undefined>>;
}

export function createTerminal({
  json = false,
  out = process.stdout,
  err = process.stderr,
  environment = process.env,
}: TerminalOptions = {}): Terminal {
  // https://no-color.org: colors only on a terminal, and never where NO_COLOR is set
  const color = out.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  const live = err.isTTY === true && environment['TERM'] !== 'dumb' && environment['CI'] === undefined;
  const paint = (tone: Tone, text: string): string =>
    color && tone !== 'plain' ? styleText(styles[tone], text, { validateStream: false }) : text;
  return {
    json,
    interactive: process.stdin.isTTY === true && out.isTTY === true,
    paint,
    line(text = '') {
      if (!json) out.write(`${text}\n`);
    },
    result(value) {
      if (json) out.write(`${JSON.stringify(value, jsonValue, 2)}\n`);
    },
    note(text) {
      err.write(`${text}\n`);
    },
    table(header, rows) {
      if (json) return;
      const widths = header.map((name, column) =>
        Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)),
      );
      const format = (row: readonly string[]): string =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd();
      out.write(`${paint('bold', format(header))}\n`);
      for (const row of rows) out.write(`${format(row)}\n`);
    },
    progress: (label) => (live ? liveProgress(label, err) : loggedProgress(label, err)),
  };
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** A bar that redraws its line. */
function liveProgress(label: string, err: NodeJS.WriteStream): Progress {
  let last = 0;
  const draw = (text: string): void => {
    err.write(`\r${text.slice(0, Math.max(20, (err.columns ?? 80) - 1))}\u001b[K`);
  };
  return {
    update(done, total, note = '') {
      const now = Date.now();
      if (now - last < 80 && done < total) return;
      last = now;
      draw(`${label} ${bar(done, total)} ${percent(done, total)} ${note}`);
    },
    end(note = '') {
      draw(`${label} ${note}`.trimEnd());
      err.write('\n');
    },
  };
}

/** In a log: a line at most every five seconds, and one at the end. */
function loggedProgress(label: string, err: NodeJS.WriteStream): Progress {
  let last = Date.now();
  return {
    update(done, total, note = '') {
      if (Date.now() - last < 5000) return;
      last = Date.now();
      err.write(`${label} ${percent(done, total)} ${note}`.trimEnd().concat('\n'));
    },
    end(note = '') {
      err.write(`${label} ${note}`.trimEnd().concat('\n'));
    },
  };
}

function bar(done: number, total: number, width = 24): string {
  const filled = total <= 0 ? width : Math.min(width, Math.round((done / total) * width));
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

const percent = (done: number, total: number): string =>
  `${String(total <= 0 ? 100 : Math.min(100, Math.floor((done / total) * 100))).padStart(3)} %`;
