// Builds dist/ when a source is newer than it: npm start runs what stands in src/.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './ensure-installed.mjs';

const newest = (folder) =>
  Math.max(
    0,
    ...readdirSync(folder, { withFileTypes: true }).map((entry) =>
      entry.isDirectory() ? newest(join(folder, entry.name)) : statSync(join(folder, entry.name)).mtimeMs,
    ),
  );

/** @returns {void} ends the process when the build fails */
export function buildIfStale() {
  const built = statSync(`${root}dist/cli/main.js`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built > newest(`${root}src`) && built > newest(`${root}sql`)) return;
  console.error('Building …');
  for (const [program, ...args] of [
    ['scripts/generate-sql.mjs'],
    ['scripts/clean.mjs'],
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
  ]) {
    const step = spawnSync(process.execPath, [`${root}${program}`, ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (step.status !== 0) process.exit(step.status ?? 1);
  }
}
