// Writes docs/benchmarks.md and its plots from bench/results/*.json: no figure is typed by hand.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { root } from './ensure-installed.mjs';

const meanings = {
  'scoped-query': {
    ratio: 'Tenantry ÷ plain `pg` with a hand-written `WHERE`, named, point read, 8 connections (goal 0.95)',
    unnamed: 'the same for statements as ORMs send them, without a name (goal 1.2)',
    multiplex: '64 concurrent callers over at most 8 connections ÷ a plain pool of 8 (goal 1.2)',
    'ratio 2 ms away': '`ratio` over a network that takes 2 ms there and back',
    'p99.9 plain': 'milliseconds of point reads, 1,000 a second, beside one 200 ms statement: a plain pool of 8',
    'p99.9 multiplex': 'the same: 4 shared connections and 4 of their own',
    tail: 'the two divided round by round, the median (goal at most 1)',
  },
  'resource-list': {
    ratio: 'worst p50 of a page under the policy ÷ hand-written SQL as superuser (goal at most 1.3)',
    ratio_given: 'the same where the hand-written SQL is given the principals',
    ratio_first: "the same for a caller's first list in a minute",
    any: 'p50 ÷ the fastest hand-written SQL: resources, % visible, kind of list',
  },
  'verify-key': {
    floor: 'uncached verification ÷ a bare prepared `SELECT` by hash, 200 keys, 16 concurrent (goal 0.9)',
    'floor-one-key': 'the same, one hot key',
    'floor-one-caller': 'the same, one verification at a time: nothing is asked for together',
    'cached-cost': 'cost of a cached verification ÷ checksum + hash + map look-up (goal at most 2)',
    flat: 'uncached verification with 1,000,000 keys (100,000 with `--quick`) ÷ with 100 (1 is flat)',
    'better-auth': 'Tenantry as it comes ÷ better-auth with its api-key plugin (goal 20)',
    'better-auth-one-key': 'the same, one hot key',
    'better-auth-uncached': 'Tenantry without its cache ÷ better-auth',
  },
  'verify-key-revocation': {
    any: 'milliseconds after the revoking call returned in which a key was still accepted, at the most (goals 0; 1,000; 5,000)',
  },
  usage: {
    events_per_second: 'events counted per second, 1,024 in flight, each acknowledged after its commit (goal 50,000)',
    update: '16 in flight ÷ one UPDATE per event',
    limit_16: '16 in flight ÷ the bare batched transaction for the same callers',
    limit_1024: '1,024 in flight ÷ the bare batched transaction for the same callers',
    ready_16: '16 in flight ÷ ready-made batches of 16, for which nobody waits',
    ready_1024: '1,024 in flight ÷ ready-made batches of 1,000, for which nobody waits',
    limit: 'the lesser of the two (goal 0.7)',
  },
  adopt: {
    failed: 'statements of the working application that failed or lost their connection (goal 0)',
    lost: 'its rows that were lost, and tables with wrongly assigned rows (goal 0)',
    constant_seconds: 'from nothing to verified with one constant organization, in seconds (goal below 1)',
    lock_wait_ms: "longest wait of the application for a lock of Tenantry's, in milliseconds (goal below 100)",
    p99: "p99 of the application's statements while Tenantry works ÷ before (goal at most 1.5)",
    keyset: 'idle: rows per second ÷ those of keyset batches of 10,000 (goal at least 2)',
    wal: 'idle: bytes of write-ahead log a row ÷ those of keyset batches of 10,000, which ask for no compression of page images (goal at most 0.5)',
  },
  audit: {
    'entries-one-organization':
      'entries per second of one organization, each in a transaction of its own, 16 concurrent',
    'entries-16-organizations': 'the same, one caller for each of 16 organizations',
    'entries-in-one-transaction': 'entries per second of one organization, 20 in a transaction',
    bare: 'Tenantry, 16 organizations ÷ a row in a bare table',
  },
  tenants: { flat: 'worst cost at the largest number of organizations ÷ the smallest (1 is flat)' },
};
const number = (value) => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2));
const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const isMeasured = (rows) =>
  Array.isArray(rows) && rows.length > 0 && rows.every((row) => typeof row?.rate?.median === 'number');

function plot(title, rows) {
  const width = 760;
  const bar = 22;
  const left = 260;
  const most = Math.max(...rows.map((row) => row.rate.max));
  const x = (value) => left + ((width - left - 110) * value) / most;
  const bars = rows
    .map((row, i) => {
      const y = 36 + i * (bar + 8);
      return `<text x="${left - 8}" y="${y + 15}" text-anchor="end">${escape(row.name)}</text><rect x="${left}" y="${y}" width="${(x(row.rate.median) - left).toFixed(1)}" height="${bar}" fill="${row.name.startsWith('Tenantry') ? '#0f766e' : '#94a3b8'}"/><line x1="${x(row.rate.min).toFixed(1)}" x2="${x(row.rate.max).toFixed(1)}" y1="${y + bar / 2}" y2="${y + bar / 2}" stroke="#111827"/><text x="${(x(row.rate.max) + 6).toFixed(1)}" y="${y + 15}">${number(row.rate.median)}/s</text>`;
    })
    .join('\n');
  const height = 44 + rows.length * (bar + 8);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/><text x="8" y="20" font-weight="bold">${escape(title)}, operations per second: median, line from least to most</text>\n${bars}\n</svg>\n`;
}

function table(rows) {
  const head = '| | per second | least | most | µs of processor |\n| --- | ---: | ---: | ---: | ---: |\n';
  return (
    head +
    rows
      .map(
        (row) =>
          `| ${row.name} | ${number(row.rate.median)} | ${number(row.rate.min)} | ${number(row.rate.max)} | ${number(row.cpu.median)} |\n`,
      )
      .join('')
  );
}

const folder = `${root}bench/results/`;
mkdirSync(`${root}docs/benchmarks`, { recursive: true });
let page = `# Benchmarks

Generated from \`bench/results/\` by \`node scripts/benchmarks-page.mjs\`. Each bench runs ours and the peers interleaved in
one run, prints its machine, and takes \`--quick\` and \`--json FILE\`:

\`\`\`sh
npm run bench -- scoped-query --json bench/results/scoped-query.json
\`\`\`
`;
for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .sort()) {
  const { bench, at, quick, machine, lines, results } = JSON.parse(readFileSync(folder + file, 'utf8'));
  page += `\n## ${file.slice(0, -'.json'.length)}\n\nMeasured ${at}${quick ? ' with `--quick`' : ''}; ${Object.entries(
    machine,
  )
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}.\n\n`;
  page += '| figure | value | meaning |\n| --- | ---: | --- |\n';
  for (const [name, value] of Object.entries(lines))
    page += `| \`${name}\` | ${number(value)} | ${meanings[bench]?.[name] ?? meanings[bench]?.any ?? ''} |\n`;
  for (const { title, header, rows } of results?.tables ?? []) {
    page += `\n### ${title}\n\n| ${header.join(' | ')} |\n| --- |${' ---: |'.repeat(header.length - 1)}\n`;
    for (const row of rows)
      page += `| ${row.map((cell) => (typeof cell === 'number' ? number(cell) : cell)).join(' | ')} |\n`;
  }
  for (const note of results?.notes ?? []) page += `\n${note}.\n`;
  let index = 0;
  for (const [title, rows] of Object.entries(results ?? {})) {
    if (!isMeasured(rows)) continue;
    index += 1;
    const name = `benchmarks/${bench}-${index}.svg`;
    writeFileSync(`${root}docs/${name}`, plot(title, rows));
    page += `\n### ${title}\n\n![${title}](${name})\n\n${table(rows)}`;
  }
}
writeFileSync(`${root}docs/benchmarks.md`, page);
console.log('docs/benchmarks.md is written.');
