import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { startWorkload } from '../../src/adopt/sample/index.ts';
import { compileSources } from '../isolation/compiled.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './shop.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let compiled: Awaited<ReturnType<typeof compileSources>>;
let shop: ShopDatabase;
beforeAll(async () => {
  [compiled, shop] = await Promise.all([compileSources(), createShopDatabase(6000)]);
});
afterAll(async () => {
  await compiled.remove();
  await shop.drop();
});

/** A process of its own that goes on with the adoption, or takes it back. Ends with `done`. */
function spawnRun(url: string, work: 'run' | 'undo') {
  const script = `
    import pg from 'pg';
    import { createAdopt } from './adopt/index.js';
    const adminPool = new pg.Pool({ connectionString: process.env.ADMIN, max: 6 });
    const adopt = createAdopt({ adminPool });
    const onEvent = (e) => { if (e.type === 'step' || e.type === 'progress') process.stdout.write('.'); };
    if ('${work}' === 'run') {
      const open = await adopt.status();
      const plan = open?.status === 'open' ? null : (await adopt.plan({ root: 'public.shops' })).plan;
      await adopt.run(plan, { onEvent, to: 'shadow' });
    } else await adopt.undo({ onEvent });
    process.stdout.write('done');
    await adminPool.end();`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: compiled.folder,
    env: { ...process.env, ADMIN: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Outcome {
  readonly steps: number;
  readonly done: boolean;
  readonly errors: string;
}

/** Lets it work until it has told of `steps` steps, and then a moment more; then kill -9. */
async function runUntil(url: string, work: 'run' | 'undo', steps: number, moment: number): Promise<Outcome> {
  const child = spawnRun(url, work);
  let seen = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
    if (seen.length >= steps) setTimeout(() => child.kill('SIGKILL'), moment);
  });
  await once(child, 'exit');
  return { steps: seen.length, done: seen.endsWith('done'), errors };
}

describe('kill -9 at any moment', () => {
  test('a run that is killed again and again, and then left alone, ends as one that never was', async () => {
    const { db, pool, shopUrl } = shop;
    const before = await dumpSchema(db.admin);
    const failures: unknown[] = [];
    const workload = await startWorkload(shopUrl, { clients: 2, onError: (error) => failures.push(error) });
    let kills = 0;
    for (let i = 0; i < 40; i += 1) {
      const outcome = await runUntil(db.adminUrl, 'run', 3 + ((i * 7) % 17), (i * 13) % 37);
      expect(outcome.errors).toBe('');
      if (outcome.done) break;
      kills += 1;
    }
    expect(kills).toBeGreaterThanOrEqual(8);
    const adopt = createAdopt({ adminPool: pool });
    expect((await adopt.run(null, { to: 'shadow' })).phase).toBe('shadow');
    expect(await adopt.verify()).toEqual([]);
    expect(await countWrongTenants(pool)).toEqual({});
    const invalid = await db.query(
      'select x.indexrelid::regclass::text as index from pg_index x where not x.indisvalid',
    );
    expect(invalid).toEqual([]);
    const killed = await dumpSchema(db.admin);

    // the way back is killed as well
    let undoKills = 0;
    for (let i = 0; i < 40; i += 1) {
      const outcome = await runUntil(db.adminUrl, 'undo', 5 + ((i * 11) % 19), (i * 7) % 29);
      if (outcome.done) break;
      expect(outcome.errors).toBe('');
      undoKills += 1;
    }
    expect(undoKills).toBeGreaterThanOrEqual(4);
    expect(await dumpSchema(db.admin)).toBe(before);

    // a run that nobody disturbed gives the same schema as the one that was killed
    await workload.stop();
    expect(failures).toEqual([]);
    expect(await workload.countLost(pool)).toBe(0);
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'shadow' });
    expect(await dumpSchema(db.admin)).toBe(killed);
    await adopt.undo();
  }, 240_000);

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
