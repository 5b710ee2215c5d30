import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type AdoptEvent, createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { tenantry } from '../support/command-line.ts';
import { countWrongTenants, createShopDatabase, type ShopDatabase } from './support/shop-database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let shop: ShopDatabase;
const folder = mkdtempSync(join(tmpdir(), 'tenantry-library-'));
beforeAll(async () => {
  shop = await createShopDatabase(800);
});
afterAll(async () => {
  await shop.drop();
  rmSync(folder, { recursive: true, force: true });
});

interface Told {
  readonly steps: readonly unknown[];
  readonly schema: string;
}

const look = async (): Promise<Told> => ({
  steps: await shop.db.query(
    `select p.step, p.phase, p.status, p.rows from tenantry.adoption_progress p join tenantry.adoption_status s using (run_id) where s.status = 'open' order by 1`,
  ),
  schema: await dumpSchema(shop.db.admin),
});

test('the library and the command do the same, tell the same, and pause each other', async () => {
  const file = join(folder, 'plan.yaml');
  const environment = { DATABASE_URL: shop.db.adminUrl, TENANTRY_ADMIN_URL: shop.db.adminUrl };
  const command = (...argv: string[]) => tenantry(['adopt', ...argv], environment);

  const adopt = createAdopt({ adminPool: shop.pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  const events: AdoptEvent[] = [];
  const result = await adopt.run(plan, { to: 'shadow', onEvent: (event) => void events.push(event) });
  expect(result).toMatchObject({ phase: 'shadow', tables: plan.order.length });
  const phases = events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []));
  expect(phases).toEqual(['expand', 'backfill', 'verify', 'tighten', 'shadow']);
  const steps = events.flatMap((event) => (event.type === 'step' ? [event.id] : []));
  const wanted = plan.steps.filter((step) => step.phase !== 'enforced').map((step) => step.id);
  expect([...steps].sort()).toEqual([...wanted].sort());
  const byLibrary = await look();
  expect(await countWrongTenants(shop.pool)).toEqual({});
  expect((await adopt.undo()).differences).toEqual([]);

  expect((await command('plan', '--root', 'public.shops', '--file', file)).code).toBe(0);
  expect((await command('run', '--file', file, '--to', 'expand', '--max-lag', 'off')).code).toBe(0);
  // each sees the other's pause: it is in the database
  await adopt.pause();
  const refused = await command('run', '--file', file, '--to', 'shadow');
  expect(refused.code).toBe(1);
  expect(refused.err).toContain('tenantry adopt resume');
  expect((await command('status')).out).toContain('paused');
  expect((await command('resume')).code).toBe(0);
  expect((await command('pause')).out).toContain('paused');
  const went = await command('run', '--file', file, '--to', 'shadow', '--resume', '--parallel', '3', '--nice', '0');
  expect([went.code, went.err]).toEqual([0, expect.not.stringContaining('TNT_')]);
  expect(await look()).toEqual(byLibrary);
  expect(await countWrongTenants(shop.pool)).toEqual({});
  expect((await command('undo', '--yes')).code).toBe(0);
  for (const wrong of [
    ['--window', '22-6'],
    ['--max-lag', 'fast'],
    ['--max-rate', '0'],
    ['--time-zone', 'UTC'],
  ]) {
    expect([wrong, (await command('run', '--file', file, ...wrong)).code]).toEqual([wrong, 2]);
  }
});

test('what a listener throws ends the run as it is: no change of the schema, nothing of ours, and the run goes on', async () => {
  const adopt = createAdopt({ adminPool: shop.pool });
  const { plan } = await adopt.plan({ root: 'public.shops' });
  for (const type of ['phase', 'step'] as const) {
    const thrown: unknown[] = [];
    const error: unknown = await adopt
      .run(plan, {
        to: 'expand',
        async onEvent(event) {
          if (event.type !== type) return;
          await shop.db.query('select nothing from public.not_there').catch((own: unknown) => {
            thrown.push(own);
            throw own;
          });
        },
      })
      .catch((own: unknown) => own);
    expect(error).toBe(thrown[0]);
    expect(error).toMatchObject({ code: '42P01' });
    expect((await adopt.status())?.lastError).toContain('not_there');
  }
  await adopt.run(null, { to: 'expand' });
  expect((await adopt.undo()).differences).toEqual([]);
});
