import { describe, expect, it } from 'vitest';
import { billingFixture, type Customer, newCustomer } from './fixture.ts';

const f = billingFixture();
const at = (text: string): Date => new Date(text);
const iso = (rows: { edge: Date }[]): string[] => rows.map(({ edge }) => edge.toISOString().replace('.000Z', 'Z'));
const edges = async (c: Customer, from: number, to: number): Promise<string[]> =>
  iso(
    await f.db.query<{ edge: Date }>(
      `select tenantry.billing_edge(s.tenant_id, s.id, n) as edge from tenantry.subscriptions s, generate_series($2::int, $3::int) n
       where s.tenant_id = $1 order by n`,
      [c.tenantId, from, to],
    ),
  );
const start = async (startsAt: string, more: object = {}): Promise<Customer> => {
  const c = await newCustomer(f);
  await c.as(() =>
    f.t.billing.operator.subscribe({ plan: 'support-pro', startsAt: at(startsAt), trialDays: 0, ...more }),
  );
  return c;
};

describe('C4: billing periods', () => {
  it('are the anchor + n months, never the last one + 1: 31 January, 28 February, 31 March', async () => {
    const c = await start('2026-01-31T10:00:00Z');
    expect(await edges(c, 0, 4)).toEqual([
      '2026-01-31T10:00:00Z',
      '2026-02-28T10:00:00Z',
      '2026-03-31T10:00:00Z',
      '2026-04-30T10:00:00Z',
      '2026-05-31T10:00:00Z',
    ]);
    // 25 months on, in a leap year
    expect(await edges(c, 25, 25)).toEqual(['2028-02-29T10:00:00Z']);
  });

  it("end at the organization's midnight, whatever its clocks do", async () => {
    // New York: 28 days of February, then 743 hours of March
    const c = await start('2026-02-01T05:00:00Z', { timeZone: 'America/New_York' });
    expect(await edges(c, 0, 2)).toEqual(['2026-02-01T05:00:00Z', '2026-03-01T05:00:00Z', '2026-04-01T04:00:00Z']);
    expect((Date.parse('2026-04-01T04:00:00Z') - Date.parse('2026-03-01T05:00:00Z')) / 3_600_000).toBe(743);
    // Havana: the clocks go back over midnight of 1 November, which comes twice: the first one counts
    const twice = await start('2026-10-01T04:00:00Z', { timeZone: 'America/Havana' });
    expect(await edges(twice, 1, 2)).toEqual(['2026-11-01T04:00:00Z', '2026-12-01T05:00:00Z']);
    // half past two on 29 March does not exist in Berlin: an hour later
    const gap = await start('2026-01-29T01:30:00Z', { timeZone: 'Europe/Berlin' });
    expect(await edges(gap, 2, 3)).toEqual(['2026-03-29T01:30:00Z', '2026-04-29T00:30:00Z']);
  });

  it('tile the line: an instant is in exactly one', async () => {
    const c = await start('2026-01-31T23:30:00Z', { timeZone: 'Pacific/Auckland' });
    const rows = await f.db.query<{ n: number; inside: boolean }>(
      `select tenantry.billing_period(s.tenant_id, s.id, x.at) as n,
         x.at >= tenantry.billing_edge(s.tenant_id, s.id, tenantry.billing_period(s.tenant_id, s.id, x.at))
         and x.at < tenantry.billing_edge(s.tenant_id, s.id, tenantry.billing_period(s.tenant_id, s.id, x.at) + 1) as inside
       from tenantry.subscriptions s, generate_series(timestamptz '2025-11-01 00:00Z', '2028-03-02', interval '31 hours 7 minutes') x(at)
       where s.tenant_id = $1 order by x.at`,
      [c.tenantId],
    );
    expect(rows.every(({ inside }) => inside)).toBe(true);
    expect(rows.every(({ n }, i) => i === 0 || [0, 1].includes(n - rows[i - 1]!.n))).toBe(true);
  });

  it('a change of time zone leaves neither gap nor overlap: the next one starts where the running one ends', async () => {
    const now = new Date();
    const c = await start(new Date(now.getTime() - 10 * 86_400_000).toISOString(), { timeZone: 'America/Los_Angeles' });
    const before = await edges(c, 0, 3);
    const changed = await c.as(() => f.t.billing.setTimeZone('Asia/Tokyo'));
    expect(changed.timeZone).toBe('Asia/Tokyo');
    const after = await edges(c, 0, 3);
    expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
    // Tokyo is 16 or 17 hours ahead of Los Angeles
    expect([16, 17]).toContain((Date.parse(before[2]!) - Date.parse(after[2]!)) / 3_600_000);
    await expect(c.as(() => f.t.billing.setTimeZone('Mars/Olympus'))).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
    expect(await f.db.query('select tenantry.tenant_time_zone($1) as zone', [c.tenantId])).toEqual([
      { zone: 'Asia/Tokyo' },
    ]);
  });

  it('of calendar months begin on the first, and the first is billed in part', async () => {
    const c = await start('2026-01-17T00:00:00Z', { align: 'calendar' });
    expect(await edges(c, 0, 1)).toEqual(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']);
    // 199.00 × 15 days / 31 = 96.2903…
    const invoice = await c.as(() => f.t.billing.operator.finalize());
    expect(invoice?.lines[0]).toMatchObject({ amount: 9629, serviceStart: at('2026-01-17T00:00:00Z') });
  });
});

describe('C4: subscriptions', () => {
  it('start with the trial of the plan, once per organization; what is used in it is never billed', async () => {
    const c = await newCustomer(f);
    const made = await c.as(() => f.t.billing.subscribe({ plan: 'support-basic', timeZone: 'Europe/Berlin' }));
    expect(made).toMatchObject({
      status: 'trialing',
      plan: { key: 'support-basic', version: 1, tier: 'basic' },
      period: null,
    });
    expect(Math.round((made.trialEndsAt!.getTime() - made.startsAt.getTime()) / 86_400_000)).toBe(14);
    await expect(c.as(() => f.t.billing.subscribe({ plan: 'support-pro' }))).rejects.toMatchObject({
      code: 'TNT_CONFLICT',
    });
    const canceled = await c.as(() => f.t.billing.cancel());
    // a trial ends with its trial
    expect(canceled.endsAt).toEqual(made.trialEndsAt);
    expect(await c.as(() => f.t.billing.resume())).toMatchObject({ status: 'trialing', endsAt: null });
    expect(await c.as(() => f.t.billing.cancel({ when: 'now' }))).toMatchObject({ status: 'canceled' });
    await expect(c.as(() => f.t.billing.resume())).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    expect(await f.db.query('select * from tenantry.plan_limit($1, $2)', [c.tenantId, 'conversations'])).toEqual([
      { included: '0', hard: true, period: 'month' },
    ]);
    const again = await c.as(() => f.t.billing.subscribe({ plan: 'support-pro' }));
    expect(again).toMatchObject({ status: 'active', trialEndsAt: null });
  });

  it('usage of the trial, and before it, is not on the first bill', async () => {
    const c = await start('2026-01-01T00:00:00Z', { trialDays: 14 });
    await c.as(async () => {
      const use = (id: string, when: string, quantity: number) =>
        f.t.usage.record({ id, metric: 'conversations', quantity, occurredAt: at(when) });
      await use('before', '2025-12-20T00:00:00Z', 90_000);
      await use('trial', '2026-01-14T23:59:59.999Z', 90_000);
      await use('paid', '2026-01-15T00:00:00Z', 5001);
    });
    const invoice = await c.as(() => f.t.billing.operator.finalize());
    expect(invoice).toMatchObject({
      periodStart: at('2026-01-15T00:00:00Z'),
      periodEnd: at('2026-02-15T00:00:00Z'),
      total: 19905,
    });
  });

  it('change at once or with the period; a repeated request is one change; the last decision holds', async () => {
    const c = await start(new Date(Date.now() - 3 * 86_400_000).toISOString());
    await c.as(async () => {
      const change = { plan: 'support-basic', when: 'period_end', requestKey: 'k' } as const;
      const planned = await f.t.billing.changePlan(change);
      expect(planned).toMatchObject({
        plan: { key: 'support-pro' },
        next: { plan: 'support-basic', at: planned.period!.end },
      });
      await f.t.billing.changePlan(change);
      const now = await f.t.billing.changePlan({ plan: 'support-basic' });
      expect(now).toMatchObject({ plan: { key: 'support-basic' }, next: null });
      await expect(f.t.billing.changePlan({ plan: 'support-enterprise' })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(f.t.billing.changePlan({ plan: 'nope' })).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      expect(await f.t.billing.operator.changePlan({ plan: 'support-enterprise' })).toMatchObject({
        plan: { tier: 'enterprise' },
      });
      await expect(
        f.t.billing.operator.changePlan({ plan: 'support-pro', at: at('2020-01-01T00:00:00Z') }),
      ).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
    });
    const phases = await f.db.query('select 1 from tenantry.subscription_phases where tenant_id = $1', [c.tenantId]);
    expect(phases).toHaveLength(3);
  });

  it('end in the middle of a period: the last invoice is that part, and nothing follows', async () => {
    const c = await start('2026-02-01T00:00:00Z');
    await c.as(() => f.t.billing.operator.cancel({ at: at('2026-02-15T00:00:00Z') }));
    const invoice = await c.as(() => f.t.billing.operator.finalize());
    // 199.00 / 2
    expect(invoice).toMatchObject({ total: 9950, periodEnd: at('2026-02-15T00:00:00Z') });
    expect(await c.as(() => f.t.billing.operator.finalize())).toBeUndefined();
    await expect(c.as(() => f.t.billing.preview(1))).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
  });

  it('with base fees in advance the activation is billed, and the end gives back', async () => {
    await f.t.plans.operator.publish({
      key: 'ahead',
      tier: 'pro',
      name: 'Ahead',
      currency: 'JPY',
      basePrice: '2800',
      baseTiming: 'advance',
    });
    const c = await start('2026-02-01T00:00:00Z', { plan: 'ahead' });
    const [first, second] = await c.as(async () => [
      await f.t.billing.operator.finalize(),
      await f.t.billing.operator.finalize(),
    ]);
    expect([first?.periodIndex, first?.total, second?.periodIndex, second?.total]).toEqual([-1, 2800, 0, 2800]);
    await c.as(() => f.t.billing.operator.cancel({ at: at('2026-03-01T00:00:00Z') }));
    // March was billed ahead and did not begin
    expect(await c.as(() => f.t.billing.operator.finalize())).toBeUndefined();
  });

  it('a spending cap holds for all usage of a period, from the running one on', async () => {
    const now = Date.now();
    const c = await start(new Date(now - 40 * 86_400_000).toISOString());
    await c.as(async () => {
      const use = (id: string, days: number) =>
        f.t.usage.record({
          id,
          metric: 'conversations',
          quantity: 6000,
          occurredAt: new Date(now - days * 86_400_000),
        });
      await use('before', 39);
      await use('now', 1);
      await f.t.billing.operator.setSpendCap('20');
      expect(await f.t.billing.subscription()).toMatchObject({ spendCap: '20' });
      const closed = await f.t.billing.operator.finalize();
      expect(closed?.lines.map(({ kind, amount }) => [kind, amount])).toEqual([
        ['base', 19900],
        ['usage', 5000],
      ]);
      expect((await f.t.billing.preview()).lines.map(({ kind, amount }) => [kind, amount])).toEqual([
        ['base', 19900],
        ['usage', 5000],
        ['cap', -3000],
      ]);
    });
  });
});
