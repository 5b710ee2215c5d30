// Runs bench/<name>.ts: npm run bench -- scoped-query [--quick] [--json FILE]
// Node 20 does not strip types, so the benches and the library are compiled side by side into bench/dist first.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './ensure-installed.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bench = join(root, 'bench');
const [name, ...options] = process.argv.slice(2);
const shared = ['frame.ts'];
const known = readdirSync(bench)
  .filter((file) => file.endsWith('.ts') && !shared.includes(file))
  .map((file) => file.slice(0, -3))
  .filter((name) => !name.includes('.'));

if (name === undefined || !known.includes(name)) {
  console.error(`Usage: npm run bench -- NAME [--quick] [--json FILE]\nNAME is one of: ${known.join(', ')}`);
  process.exit(2);
}

function run(command, args, cwd = root) {
  const { status, signal } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) process.exit(signal === 'SIGINT' ? 130 : (status ?? 1));
}

// Competitors are no dependencies of the product: they come when a full run asks for them, or a figure needs one.
const peersInFigures = ['verify-key', 'rate-limit'];
const peers = join(bench, 'package.json');
const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const installed = timeOf(join(bench, 'node_modules', '.package-lock.json'));
if ((!options.includes('--quick') || peersInFigures.includes(name)) && installed < timeOf(peers)) {
  console.log('Installing what Tenantry is compared with (bench/package.json), once and apart from what is measured …');
  run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--loglevel=error', '--legacy-peer-deps', '--ignore-scripts'],
    bench,
  );
}

ensureInstalled();
const output = join(bench, 'dist');
rmSync(output, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
run(process.execPath, [tsc, '-p', join(bench, 'tsconfig.json')]);
writeFileSync(join(output, 'package.json'), '{ "type": "module" }\n');
run(process.execPath, ['--expose-gc', join(output, 'bench', `${name}.js`), ...options]);
