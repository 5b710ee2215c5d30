import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The sources as JavaScript, for a process of its own (Node 20 runs no TypeScript). Inside node_modules, so that it finds `pg`. */
export async function compileSources(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(`${root}node_modules/.tenantry-compiled-`);
  const tsc = [
    `${root}node_modules/typescript/bin/tsc`,
    '-p',
    `${root}tsconfig.build.json`,
    '--noCheck',
    '--declaration',
    'false',
  ];
  await promisify(execFile)(process.execPath, [...tsc, '--outDir', folder]);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
