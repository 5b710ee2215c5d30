// Sizes of the TypeScript files of src (lines of code, without comments and blanks; no tests, nothing generated): none over 500, at most
// 5 % over 300. Migrations are told beside and not limited: one is one change of the schema, however long.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../src', import.meta.url));
const sizes = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('generated') && !name.endsWith('.test.ts'))
  .map((name) => {
    const code = readFileSync(`${src}/${name}`, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    return {
      name,
      lines: code.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length,
    };
  })
  .sort((a, b) => b.lines - a.lines);
const median = sizes[Math.floor(sizes.length / 2)]?.lines ?? 0;
const large = sizes.filter(({ lines }) => lines > 300);
const offenders = [...sizes.filter(({ lines }) => lines > 500), ...(large.length > sizes.length * 0.05 ? large : [])];
for (const { name, lines } of offenders) console.error(`src/${name}: ${lines} lines of code; it probably has two jobs`);
const migrations = fileURLToPath(new URL('../sql/migrations', import.meta.url));
const longest = readdirSync(migrations)
  .filter((name) => name.endsWith('.up.sql'))
  .map((name) => ({ name, lines: readFileSync(`${migrations}/${name}`, 'utf8').split('\n').length }))
  .sort((a, b) => b.lines - a.lines)[0];
if (offenders.length === 0)
  console.log(
    `${sizes.length} TypeScript files of src, median ${median} lines of code, largest ${sizes[0]?.lines ?? 0}; longest migration ${longest?.name ?? ''}, ${longest?.lines ?? 0} lines.`,
  );
process.exitCode = offenders.length === 0 ? 0 : 1;
