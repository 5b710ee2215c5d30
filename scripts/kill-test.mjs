// Kills an adoption at random moments and runs it again: npm run kill-test -- --kills 200 [--seed N] [--rows N] [--to shadow]
// Node 20 does not strip types, so the sources and the test are compiled side by side first.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './ensure-installed.mjs';

ensureInstalled();
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'node_modules', `.tenantry-kill-${process.pid}`);
const run = (args, environment = {}) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } }).status ??
  1;

process.on('SIGINT', () => {});
try {
  const project = join(root, 'test', 'adopt', 'kill', 'tsconfig.json');
  process.exitCode = run([join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project, '--outDir', output]);
  if (process.exitCode === 0) {
    writeFileSync(join(output, 'package.json'), '{ "type": "module" }\n');
    process.exitCode = run([join(output, 'test', 'adopt', 'kill', 'main.js'), ...process.argv.slice(2)], {
      TENANTRY_COMPILED: join(output, 'src'),
    });
  }
} finally {
  rmSync(output, { recursive: true, force: true });
}
