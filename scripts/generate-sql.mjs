// Compiles sql/migrations/*.sql and sql/checks/*.sql into src/generated/, so that the package reads no files at run time.
// With --check: exits 1 when a committed file is stale.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const check = process.argv.includes('--check');
const targets = [
  { folder: 'sql/migrations', file: 'src/generated/migrations.ts', name: 'migrationFiles' },
  { folder: 'sql/checks', file: 'src/generated/checks.ts', name: 'checkFiles' },
];

await mkdir(`${root}src/generated`, { recursive: true });
let stale = false;
for (const { folder, file, name } of targets) {
  const names = (await readdir(`${root}${folder}`)).filter((n) => n.endsWith('.sql')).sort();
  const entries = await Promise.all(
    names.map(
      async (n) => `  ${JSON.stringify(n)}: ${JSON.stringify(await readFile(`${root}${folder}/${n}`, 'utf8'))},\n`,
    ),
  );
  const text = `// Generated from ${folder} by scripts/generate-sql.mjs: do not edit.\nexport const ${name}: Readonly<Record<string, string>> = {\n${entries.join('')}};\n`;
  const old = await readFile(`${root}${file}`, 'utf8').catch(() => '');
  if (old === text) continue;
  if (check) {
    console.error(`${file} is stale: run npm run generate`);
    stale = true;
  } else {
    await writeFile(`${root}${file}`, text);
  }
}
process.exitCode = stale ? 1 : 0;
