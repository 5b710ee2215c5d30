// Holds the direction of imports: server, cli, adapters, testing → features → isolation → pool, context → database, config → errors.
// Also: the root entry never reaches the server, the command or a web framework.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../src', import.meta.url));
const floors = {
  errors: 0,
  csv: 0,
  counted: 0,
  version: 0,
  generated: 0,
  database: 1,
  config: 1,
  context: 2,
  pool: 2,
  isolation: 3,
  directory: 4,
  resources: 4,
  audit: 4,
  outbox: 4,
  keys: 4,
  metering: 4,
  vault: 4,
  adopt: 4,
  tenantry: 5,
  index: 6,
  adapters: 5,
  testing: 6,
  server: 6,
  cli: 7,
};
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
);
const areaOf = (file) => relative(src, file).split('/')[0].replace(/\.ts$/, '');
const imports = new Map();
const problems = [];

for (const name of files) {
  const file = join(src, name);
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const found = [
    ...text.matchAll(/^\s*(?:import|export)\b[^;'"]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]/gm),
  ].map((m) => ({
    specifier: m[1] ?? m[2],
    typeOnly: /^\s*(import|export)\s+type\b/.test(m[0]),
  }));
  imports.set(file, found);
  const from = areaOf(file);
  if (floors[from] === undefined)
    problems.push(`${name}: the folder "${from}" has no floor in scripts/check-imports.mjs`);
  for (const { specifier } of found) {
    if (!specifier.startsWith('.')) continue;
    const to = areaOf(resolve(dirname(file), specifier));
    if (floors[to] === undefined || floors[from] === undefined) continue;
    if (floors[to] > floors[from]) problems.push(`${name} imports ${specifier}: ${from} stands below ${to}`);
  }
}

const reached = new Set();
const packages = new Set();
const walk = (file) => {
  if (reached.has(file)) return;
  reached.add(file);
  for (const { specifier, typeOnly } of imports.get(file) ?? []) {
    if (typeOnly) continue;
    if (specifier.startsWith('.')) walk(resolve(dirname(file), specifier));
    else if (!specifier.startsWith('node:')) packages.add(specifier);
  }
};
walk(join(src, 'index.ts'));
for (const name of packages)
  if (!['pg', 'zod', 'yaml'].includes(name))
    problems.push(`index.ts reaches the package ${name}; only pg and zod may be loaded by the root entry`);
if (packages.has('yaml')) problems.push('index.ts reaches the package yaml; load it where a plan is read');
for (const file of reached)
  if (['server', 'cli', 'testing'].includes(areaOf(file))) problems.push(`index.ts reaches ${relative(src, file)}`);

for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`Import direction holds in ${files.length} files.`);
process.exitCode = problems.length === 0 ? 0 : 1;
