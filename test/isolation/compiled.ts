import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The folder of the sources as JavaScript, for a process of its own (Node 20 runs no TypeScript). Inside node_modules, so
 * that it finds `pg`. Compiled once in a run, by whoever asks first; the run's end takes it away.
 */
export async function compileSources(): Promise<{ readonly folder: string }> {
  const folder = inject('server').compiled;
  const working = `${folder}-working`;
  while (!existsSync(folder)) {
    try {
      await mkdir(working);
    } catch {
      await pause(50); // another worker is at it
      continue;
    }
    if (existsSync(folder)) {
      await rm(working, { recursive: true });
      break;
    }
    const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.build.json`, '--noCheck'];
    try {
      await promisify(execFile)(process.execPath, [...tsc, '--declaration', 'false', '--outDir', working]);
      await rename(working, folder);
    } finally {
      await rm(working, { recursive: true, force: true });
    }
  }
  return { folder };
}
