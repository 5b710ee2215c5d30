import { expect, it } from 'vitest';
import { compileSources } from '../../isolation/compiled.ts';
import { killUsageAgainAndAgain } from './kill/killer.ts';

it('kill -9 of the process, its backend or the server under load: every acknowledged event counted once, none twice', async () => {
  const { folder } = await compileSources();
  const system = process.env['TENANTRY_TEST_PG'];
  const report = await killUsageAgainAndAgain({
    kills: 5,
    seed: 8,
    compiled: folder,
    ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
  });
  const { process: processes, backend, server } = report.kills;
  expect(processes + backend + server).toBe(5);
  expect(report.sent).toBeGreaterThan(50);
  expect(report.repeated).toBeGreaterThan(10);
  // more than fifty events of five organizations: at least one has passed its limit of ten
  expect(report.alerts).toBeGreaterThanOrEqual(2);
}, 180_000);
