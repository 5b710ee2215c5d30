import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { newTenant, nil, usageFixture } from './fixture.ts';

const f = usageFixture();

/** What the application's login executes, under the policies. */
async function planOf(tenantId: string, text: string): Promise<string> {
  const rows = await withTenant({ tenantId }, () =>
    f.kernel.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${text}`),
  );
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

describe('F4: every query that is scoped by tenant uses an index', () => {
  it('events by time, counters, alerts, corrections, accounts', async () => {
    const t = await newTenant(f);
    await f.db.query(
      `insert into tenantry.organizations (name, slug) select 'O', 'plan-' || i from generate_series(1, 300) i`,
    );
    await f.db.query(
      `insert into tenantry.usage_events (tenant_id, id, metric, quantity, occurred_at)
         select o.id, 'e' || i, 'emails', 1, now() - i * interval '1 hour' from tenantry.organizations o cross join generate_series(1, 100) i where o.slug like 'plan-%'`,
    );
    await f.db.query(
      `insert into tenantry.usage_counters (tenant_id, metric, period, period_start, period_end)
         select o.id, 'emails', 'day', date_trunc('day', now()) - i * interval '1 day', date_trunc('day', now()) - (i - 1) * interval '1 day'
         from tenantry.organizations o cross join generate_series(1, 30) i where o.slug like 'plan-%'`,
    );
    await f.db.query('analyze tenantry.usage_events, tenantry.usage_counters, tenantry.organizations');
    for (const [text, index] of [
      [
        `select * from tenantry.usage_events e where e.tenant_id = '${t.tenantId}' and e.occurred_at >= now() - interval '1 day' and e.occurred_at < now() order by e.occurred_at, e.id`,
        'usage_events_occurred_at_idx',
      ],
      [`select * from tenantry.usage_events e where e.tenant_id = '${t.tenantId}' and e.id = 'x'`, 'usage_events_pkey'],
      [
        `select * from tenantry.usage_periods p where p.tenant_id = '${t.tenantId}' and p.namespace_id = '${nil}' and p.metric = 'emails' and p.period = 'day' and p.period_start = now()`,
        'usage_counters_pkey',
      ],
      [
        `select * from tenantry.usage_periods p where p.tenant_id = '${t.tenantId}' and p.namespace_id = '${nil}' and p.metric = 'emails' and p.period = 'month' and p.period_start <= now() order by p.period_start desc limit 1`,
        'usage_counters_pkey',
      ],
      [
        `select * from tenantry.usage_counters p where p.tenant_id = '${t.tenantId}' and p.period = 'day' and p.period_start = now() and p.folded is not null`,
        'usage_counters_day_idx',
      ],
    ] as const) {
      const plan = await planOf(t.tenantId, text);
      expect(plan, text).toContain(index);
      expect(plan, text).not.toContain('Seq Scan on usage');
    }
  });
});
