import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { tenantry } from '../support/command-line.ts';
import { sharedData } from '../support/data.ts';
import type { TestDatabase } from '../support/database.ts';
import { loadRealData, pagila } from './support/real-data.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.skipIf(sharedData(pagila) === undefined)('pagila with its stores as tenants, by the command', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-pagila-'));
  const file = join(folder, 'plan.yaml');
  beforeAll(async () => {
    ({ db, pool } = await loadRealData(pagila));
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
    rmSync(folder, { recursive: true, force: true });
  });
  const command = (...argv: string[]) => tenantry(['adopt', ...argv], { DATABASE_URL: db.adminUrl });
  const rowsFilled = async (): Promise<number> =>
    (
      await db.query<{ n: number }>(
        `select coalesce(sum(rows), 0)::int as n from tenantry.adoption_progress where phase = 'backfill'`,
      )
    )[0]!.n;

  test('B7: classify says of each table what it is and why, and writes nothing', async () => {
    const { code, out } = await command('classify', '--root', 'public.store');
    // two tables are left for a person to decide, and the exit code says so
    expect(code).toBe(3);
    expect(out).toMatch(/^public\.address\s+undecided\s.*shared reference data, or data of tenants\?$/m);
    expect(out).toMatch(/^public\.store\s+root\s/m);
    expect(out).toMatch(/^public\.rental\s+owned\s/m);
    const tables = JSON.parse((await command('classify', '--root', 'public.store', '--json')).out) as {
      table: string;
      class: string;
      reason: string;
    }[];
    expect(Object.fromEntries(tables.map((table) => [table.table, table.class]))).toMatchObject({
      'public.store': 'root',
      'public.inventory': 'owned',
      'public.payment': 'owned',
      'public.film': 'shared',
      'public.language': 'shared',
    });
    expect(tables.filter(({ reason }) => reason === '')).toEqual([]);
    // a partitioned table's estimate is its partitions', counted once
    const inspected = JSON.parse((await command('inspect', '--json')).out) as {
      inspection: { tables: { name: string; rows: number }[] };
    };
    expect(inspected.inspection.tables.find(({ name }) => name === 'public.payment')?.rows).toBe(16_049);
    // without a root it takes the likeliest; a constant makes everything its own; no such table is said so
    expect((await command('classify')).out).toMatch(/\sroot\s/);
    expect((await command('classify', '--constant', 'System Tenant')).out).not.toMatch(/\sroot\s/);
    expect(await command('classify', '--root', 'public.stores')).toMatchObject({
      code: 2,
      err: expect.stringContaining('public.stores'),
    });
    expect(await db.query('select 1 from tenantry.adoption_runs')).toEqual([]);
  });

  test('E2, E5: a run that is paused in the middle of its rows stands still, and goes on there when it is resumed', async () => {
    expect((await command('plan', '--root', 'public.store', '--file', file)).code).toBe(3);
    const decided: [RegExp, string][] = [
      [/( {2}public\.rental:\n {4}class: owned\n)/, '$1    conflicts: via\n'],
      [/( {2}public\.(?:address|city):\n {4}class: )undecided/g, '$1shared'],
      [/( {2}public\.payment:\n {4}class: owned\n)/, '$1    conflicts: via\n'],
    ];
    writeFileSync(
      file,
      decided.reduce((text, [from, to]) => text.replace(from, to), readFileSync(file, 'utf8')),
    );
    const planned = await command('plan', '--file', file);
    expect([planned.code, planned.out]).toEqual([0, planned.out]);

    const running = command('run', '--file', file, '--to', 'verify', '--max-rate', '3000');
    await expect.poll(rowsFilled, { timeout: 60_000, interval: 20 }).toBeGreaterThan(3000);
    const paused = await command('pause');
    expect([paused.code, paused.out]).toEqual([0, expect.stringContaining('stops at its next transaction')]);
    const stopped = await running;
    expect([stopped.code, stopped.err]).toEqual([1, expect.stringContaining('TNT_ADOPT_PAUSED')]);
    expect(stopped.err).toContain('tenantry adopt resume');
    expect(stopped.out + stopped.err).toMatch(/^backfill\s+stopped, [\d,]+ rows$/m);
    const filled = await rowsFilled();
    expect(filled).toBeLessThan(30_000);
    expect((await command('status')).out).toContain('paused');
    const refused = await command('run', '--file', file, '--to', 'verify');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('TNT_ADOPT_PAUSED')]);
    expect(await rowsFilled()).toBe(filled);

    const resumed = await command('resume');
    expect([resumed.code, resumed.out]).toEqual([0, expect.stringContaining('resumed')]);
    expect((await command('run', '--file', file, '--to', 'tighten')).code).toBe(0);
    // every row once: what was filled before the pause was not filled again
    const [rows] = await db.query<{ n: number }>(
      `select ((select count(*) from staff) + (select count(*) from customer) + (select count(*) from inventory)
             + (select count(*) from rental) + (select count(*) from payment))::int as n`,
    );
    expect(await rowsFilled()).toBe(rows!.n);
    expect(
      await db.query(
        `select count(*)::int as n from rental r join inventory i using (inventory_id) join tenantry.organizations o on o.key = i.store_id::text where r.tenant_id <> o.id`,
      ),
    ).toEqual([{ n: 0 }]);
    expect((await command('verify')).code).toBe(0);
    expect(await command('undo', '--yes')).toMatchObject({ code: 0 });
    expect((await command('status')).out).not.toContain('paused');
  });
});
