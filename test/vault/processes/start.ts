import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Started {
  readonly child: ChildProcess;
  /** Everything it has written so far. */
  output(): string;
  /** Resolves when the output contains the text. */
  seen(text: string): Promise<void>;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** Runs a TypeScript file of this folder in a process of its own. */
export function start(name: string, environment: Record<string, string>): Started {
  const file = fileURLToPath(new URL(name, import.meta.url));
  const jiti = fileURLToPath(new URL('../../../node_modules/jiti/lib/jiti-cli.mjs', import.meta.url));
  const child = spawn(process.execPath, [jiti, file], { env: { ...process.env, ...environment }, stdio: 'pipe' });
  let text = '';
  const waiting = new Set<() => void>();
  const hear = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const look of waiting) look();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<number | NodeJS.Signals | null>((done) =>
    child.once('close', (code, signal) => done(code ?? signal)),
  );
  return {
    child,
    ended,
    output: () => text,
    seen: (wanted) =>
      new Promise((done, failed) => {
        const look = (): void => {
          if (!text.includes(wanted)) return;
          waiting.delete(look);
          done();
        };
        waiting.add(look);
        void ended.then((code) => failed(new Error(`ended with ${String(code)} before "${wanted}": ${text}`)));
        look();
      }),
  };
}
