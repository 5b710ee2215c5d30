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

/** Runs a command that goes on until a signal; `said` is what it has written so far, on both streams. */
export function startTenantry(argv: readonly string[]): { readonly ended: Promise<number>; said(): string } {
  const both = new Captured();
  const stream = both as unknown as NodeJS.WriteStream;
  return { ended: runCommandLine(argv, { out: stream, err: stream }), said: () => both.text };
}
