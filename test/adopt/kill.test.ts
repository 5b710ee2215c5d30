import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { compileSources } from '../isolation/compiled.ts';
import { killAgainAndAgain } from './kill/killer.ts';
import { createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let compiled: Awaited<ReturnType<typeof compileSources>>;
let shop: ShopDatabase;
beforeAll(async () => {
  [compiled, shop] = await Promise.all([compileSources(), createShopDatabase(1500)]);
});
afterAll(async () => {
  await shop.drop();
});

describe('kill -9 at any moment', () => {
  test('the process, its backend or the server: run again and again, it ends as a run that nobody disturbed', async () => {
    const system = process.env['TENANTRY_TEST_PG'];
    const report = await killAgainAndAgain({
      kills: 20,
      seed: 20,
      rows: 400,
      compiled: compiled.folder,
      ...(system === undefined ? {} : { binaries: `/usr/lib/postgresql/${system}/bin` }),
    });
    const { process: processes, backend, server } = report.kills;
    expect(processes + backend + server).toBe(20);
    expect(Math.min(processes, backend, server)).toBeGreaterThan(0);
    expect(report.runs).toBeGreaterThan(1);
    expect(report.undos).toBeGreaterThan(1);
    expect(report.statements).toBeGreaterThan(100);
  }, 600_000);

  test('a connection that the server ends leaves a run that goes on', async () => {
    const { db, pool } = shop;
    const own = new pg.Pool({ connectionString: db.adminUrl, max: 6, application_name: 'doomed' });
    own.on('error', () => {});
    const adopt = createAdopt({ adminPool: own });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    let steps = 0;
    const ended = await adopt
      .run(plan, {
        onEvent: async (event) => {
          if (event.type !== 'step') return;
          steps += 1;
          if (steps === 12)
            await pool.query(
              "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed'",
            );
        },
      })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(ended).toMatchObject({ code: expect.stringMatching(/^TNT_(SERVER_UNREACHABLE|ADOPT_RUNNING)$/) as string });
    await own.end();
    const again = createAdopt({ adminPool: pool });
    expect((await again.run(null)).phase).toBe('enforced');
    expect(await again.verify()).toEqual([]);
    expect((await again.undo()).differences).toEqual([]);
  });
});
