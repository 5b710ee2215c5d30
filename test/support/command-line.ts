import { Writable } from 'node:stream';
import { runCommandLine } from '../../src/cli/run.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

class Captured extends Writable {
  text = '';
  readonly isTTY = false;
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Runs one command line in this process, with the environment of a user who set these variables. */
export async function tenantry(
  argv: readonly string[],
  environment: Record<string, string> = {},
): Promise<CommandResult> {
  const out = new Captured();
  const err = new Captured();
  const before = new Map(Object.keys(environment).map((name) => [name, process.env[name]]));
  Object.assign(process.env, environment);
  try {
    const code = await runCommandLine(argv, {
      out: out as unknown as NodeJS.WriteStream,
      err: err as unknown as NodeJS.WriteStream,
    });
    return { code, out: out.text, err: err.text };
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** A command that goes on until a signal. */
export interface StartedCommand {
  readonly ended: Promise<number>;
  /** What it has written so far, on both streams. */
  said(): string;
  /** Returns when it has written this. @throws what it said instead, when it has ended without */
  saying(text: string): Promise<void>;
}

export function startTenantry(argv: readonly string[]): StartedCommand {
  const both = new Captured();
  const stream = both as unknown as NodeJS.WriteStream;
  const ended = runCommandLine(argv, { out: stream, err: stream });
  let over = false;
  const end = (): void => {
    over = true;
  };
  ended.then(end, end);
  return {
    ended,
    said: () => both.text,
    async saying(text) {
      while (!both.text.includes(text)) {
        if (over) throw new Error(`it ended and never said ${text}: ${both.text}`);
        await new Promise((done) => setTimeout(done, 20));
      }
    },
  };
}
