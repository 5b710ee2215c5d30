import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tenantry } from '../../support/command-line.ts';
import { newTenant, setLimit, usageFixture } from './fixture.ts';

const f = usageFixture();
const run = (...argv: string[]) => tenantry(argv, { DATABASE_URL: f.db.appUrl, TENANTRY_ADMIN_URL: f.db.adminUrl });

describe('tenantry usage', () => {
  it('shows, exports, verifies, recounts and prunes', async () => {
    const t = await newTenant(f);
    const [{ slug }] = (await f.db.query<{ slug: string }>(`select slug from tenantry.organizations where id = $1`, [
      t.tenantId,
    ])) as [{ slug: string }];
    await setLimit(f, t.tenantId, 'conversations', 10);
    await t.as(() =>
      Promise.all(Array.from({ length: 9 }, (_, i) => f.usage.record({ id: `e${i}`, metric: 'conversations' }))),
    );

    const shown = await run('usage', 'show', '--organization', slug, '--metric', 'conversations');
    expect(shown.code).toBe(0);
    expect(shown.out).toContain('9 in 9 events');
    expect(shown.out).toContain('10 (soft), 90 % used, 0 over');
    expect(
      JSON.parse((await run('usage', 'show', '--organization', slug, '--metric', 'conversations', '--json')).out),
    ).toMatchObject({ current: { value: 9 } });
    expect((await run('usage', 'top', '--metric', 'conversations')).out).toContain(slug);
    expect((await run('usage', 'alerts', '--organization', slug)).out).toContain('90 %');
    expect((await run('usage', 'show', '--organization', slug)).code).toBe(2);

    const folder = mkdtempSync(join(tmpdir(), 'tenantry-usage-'));
    try {
      const out = join(folder, 'acme.csv');
      expect(
        (await run('usage', 'export', '--organization', slug, '--from', '1d', '--format', 'csv', '--out', out)).code,
      ).toBe(0);
      expect(readFileSync(out, 'utf8').trimEnd().split('\r\n')).toHaveLength(10);
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect((await run('usage', 'export', '--organization', slug)).out.trimEnd().split('\n')).toHaveLength(9);

    expect((await run('usage', 'verify')).code).toBe(0);
    await f.db.query(`update tenantry.usage_counters set value = value - 1 where tenant_id = $1 and period = 'month'`, [
      t.tenantId,
    ]);
    const damaged = await run('usage', 'verify', '--organization', slug);
    expect(damaged.code).toBe(3);
    expect(damaged.out).toContain('counted 8 in 9 events, the ledger says 9 in 9');
    expect(JSON.parse((await run('usage', 'recount', '--json')).out)).toEqual({ corrected: 1 });
    expect((await run('usage', 'verify')).code).toBe(0);

    expect((await run('usage', 'prune', '--before', '2026-01-01T00:00Z')).code).toBe(2);
    expect(JSON.parse((await run('usage', 'prune', '--before', '2026-01-01T00:00Z', '--yes', '--json')).out)).toEqual({
      pruned: 0,
    });
  });

  it('adds metrics, and keeps how one is counted once it was used', async () => {
    const t = await newTenant(f);
    expect(
      (await run('usage', 'metric', 'seats', '--unit', 'seat', '--aggregation', 'max', '--alert-levels', '80,100'))
        .code,
    ).toBe(0);
    expect((await run('usage', 'metrics')).out).toContain('80 %, 100 %');
    await t.as(() => f.usage.record({ id: 's', metric: 'seats', quantity: 5 }));
    expect((await run('usage', 'metric', 'seats', '--aggregation', 'sum')).code).toBe(1);
    expect((await run('usage', 'metric', 'seats', '--title', 'Seats', '--aggregation', 'max')).code).toBe(0);
    expect((await run('usage', 'metric', 'Seats')).code).toBe(2);
    expect((await run('usage', 'metric', 'x', '--alert-levels', 'many')).code).toBe(2);
    expect((await run('usage', 'metric', 'x', '--aggregation', 'mean')).code).toBe(2);
  });
});
