import { parseArgs } from 'node:util';
import { killAgainAndAgain } from './killer.ts';

// npm run kill-test -- --kills 200 [--seed N] [--rows N] [--to shadow]

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    rows: { type: 'string' },
    to: { type: 'string', default: 'enforced' },
  },
});
const seed = Number(values.seed ?? Date.now() % 100_000);
console.log(`seed ${seed}`);
const started = performance.now();
const system = process.env['TENANTRY_TEST_PG'];
const report = await killAgainAndAgain({
  kills: Number(values.kills),
  seed,
  to: values.to === 'shadow' ? 'shadow' : 'enforced',
  compiled: process.env['TENANTRY_COMPILED'] ?? '',
  ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
  ...(values.rows === undefined ? {} : { rows: Number(values.rows) }),
  onKill: (line) => console.log(line),
});
console.log(JSON.stringify(report, undefined, 2));
console.log(
  `every end state the same, no row lost or wrongly assigned; ${Math.round((performance.now() - started) / 1000)} s`,
);
