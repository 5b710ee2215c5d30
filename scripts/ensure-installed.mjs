// Installs what is missing: node_modules absent, or older than the lock file. Needs nothing but Node and npm.
import { spawnSync } from 'node:child_process';
import { lstatSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const time = (path) => statSync(`${root}${path}`, { throwIfNoEntry: false })?.mtimeMs;

/** @returns {void} ends the process when the installation fails */
export function ensureInstalled() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Tenantry needs Node 20.19 or later; this is ${process.versions.node}.`);
    process.exit(4);
  }
  const installed = time('node_modules/.package-lock.json');
  if (installed !== undefined && installed >= (time('package-lock.json') ?? 0)) return;
  if (lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci empties what the link points to, and that is somebody else's
    console.error('node_modules is a link and older than package-lock.json: run npm ci where it points to.');
    process.exit(4);
  }
  console.error('Installing dependencies (npm ci) …');
  const npm = spawnSync(
    process.platform === 'win32' ? 'npm.cmd' : 'npm',
    ['ci', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (npm.status !== 0) {
    console.error('npm ci failed: see its message above, then run the same command again.');
    process.exit(npm.status ?? 1);
  }
}

/** Runs a program of the project and returns its exit code; Ctrl-C reaches it by itself. */
export function run(program, args, environment = {}) {
  process.on('SIGINT', () => {});
  const child = spawnSync(process.execPath, [`${root}${program}`, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  return child.status ?? 1;
}

export { root };
