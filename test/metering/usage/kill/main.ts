import { parseArgs } from 'node:util';
import { killUsageAgainAndAgain } from './killer.ts';

// node scripts/kill-usage.mjs --kills 50 [--seed N]

const { values } = parseArgs({ options: { kills: { type: 'string', default: '50' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now() % 100_000);
console.log(`seed ${seed}`);
const started = performance.now();
const system = process.env['TENANTRY_TEST_PG'];
const report = await killUsageAgainAndAgain({
  kills: Number(values.kills),
  seed,
  compiled: process.env['TENANTRY_COMPILED'] ?? '',
  ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
  onKill: (line) => console.log(line),
});
console.log(JSON.stringify(report, undefined, 2));
console.log(`every acknowledged event counted once, none twice; ${Math.round((performance.now() - started) / 1000)} s`);
