import { describe, expect, it } from 'vitest';
import { billingFixture, newCustomer } from '../billing/fixture.ts';

const f = billingFixture();
const own = {
  key: 'acme',
  tier: 'enterprise',
  name: 'Acme',
  currency: 'USD',
  basePrice: '1500.50',
  metrics: {
    conversations: { included: 100_000, model: 'graduated' as const, tiers: [{ upTo: null, unit: '0.0125' }] },
  },
};

describe('B2, C1: plans as data', () => {
  it('the tiers of both ladders are there, with what they include', async () => {
    const c = await newCustomer(f);
    const seeded = await f.db.query<{ family: string; tiers: string[] }>(
      "select family, array_agg(tier order by base_price, key) as tiers from tenantry.plans where key ~ '^(memory|support)-' group by family order by family",
    );
    expect(seeded).toEqual([
      { family: 'memory', tiers: ['trial', 'starter', 'growth', 'pro', 'business_plus', 'enterprise'] },
      { family: 'support', tiers: ['basic', 'pro', 'enterprise'] },
    ]);
    const listed = await c.as(() => f.t.plans.list());
    expect(listed.find(({ key }) => key === 'support-basic')).toMatchObject({
      tier: 'basic',
      basePrice: '49',
      trialDays: 14,
      metrics: { conversations: { included: '500', hard: true, model: null, period: 'month' } },
      rateLimits: { conversations: { limit: 10, periodMs: 60_000 } },
    });
    expect(listed.map(({ key }) => key)).not.toContain('support-enterprise');
    expect(await c.asMember(() => f.t.plans.get('support-enterprise'))).toMatchObject({
      available: false,
      tier: 'enterprise',
    });
    expect(await c.as(() => f.t.plans.get('no such plan'))).toBeNull();
  });

  it('limits and rates follow the plan, and a custom price of the organization', async () => {
    const c = await newCustomer(f);
    const limit = () => f.db.query('select * from tenantry.plan_limit($1, $2)', [c.tenantId, 'conversations']);
    expect(await limit()).toEqual([]);
    await c.as(() => f.t.billing.subscribe({ plan: 'support-basic' }));
    expect(await limit()).toEqual([{ included: '500', hard: true, period: 'month' }]);
    expect(await f.db.query('select * from tenantry.plan_rate($1, $2)', [c.tenantId, 'conversations'])).toEqual([
      { max_requests: 10, period_ms: '60000', burst: null },
    ]);
    expect(await f.db.query('select * from tenantry.plan_rate($1, $2)', [c.tenantId, 'other'])).toEqual([]);
    const price = await c.as(() =>
      f.t.billing.operator.setPrice({
        metric: 'conversations',
        terms: { included: 750 },
        effectiveFrom: new Date(Date.now() - 60_000),
      }),
    );
    expect(await limit()).toEqual([{ included: '750', hard: false, period: 'month' }]);
    await c.as(() => f.t.billing.operator.endPrice(price.id, new Date(Date.now() - 1000)));
    expect(await limit()).toEqual([{ included: '500', hard: true, period: 'month' }]);
    expect(await c.as(() => f.t.billing.prices())).toMatchObject([{ id: price.id, metric: 'conversations' }]);
  });

  it('an organization defines its own; it counts once an operator approved it, and stays as it was approved', async () => {
    const [c, other] = [await newCustomer(f), await newCustomer(f)];
    const made = await c.as(() => f.t.plans.define(own));
    expect(made).toMatchObject({ key: 'acme', version: 1, basePrice: '1500.5', available: false, family: null });
    expect((await c.as(() => f.t.plans.define(own))).version).toBe(2);
    await expect(c.asMember(() => f.t.plans.define(own))).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    expect(await other.as(() => f.t.plans.get('acme'))).toBeNull();
    await expect(c.as(() => f.t.billing.subscribe({ plan: 'acme' }))).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    await expect(other.as(() => f.t.plans.operator.approve('acme', 1))).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
    await c.as(async () => {
      await f.t.plans.operator.approve('acme', 1);
      expect(await f.t.plans.remove('acme', 1)).toBe(false);
      expect(await f.t.plans.remove('acme', 2)).toBe(true);
      // an approved plan gets no further metric
      await expect(
        f.t.kernel.query(
          `insert into tenantry.tenant_plan_metrics (tenant_id, plan_id, metric, included) select tenant_id, id, 'memories', null from tenantry.tenant_plans where tenant_id = $1`,
          [c.tenantId],
        ),
      ).rejects.toMatchObject({ code: '42501' });
      await expect(
        f.t.kernel.query('update tenantry.tenant_plans set base_price = 0 where tenant_id = $1', [c.tenantId]),
      ).rejects.toMatchObject({ code: '42501' });
      expect(await f.t.billing.subscribe({ plan: 'acme' })).toMatchObject({ plan: { key: 'acme', version: 1 } });
    });
    expect(await f.db.query('select * from tenantry.plan_limit($1, $2)', [c.tenantId, 'conversations'])).toEqual([
      { included: '100000', hard: false, period: 'month' },
    ]);
    // a reference across tenants cannot be written
    await expect(
      f.db.query(
        `insert into tenantry.subscription_phases (tenant_id, subscription_id, starts_at, tenant_plan_id)
         select $1, s.id, now(), o.id from tenantry.subscriptions s, tenantry.tenant_plans o where o.tenant_id = $2 limit 1`,
        [other.tenantId, c.tenantId],
      ),
    ).rejects.toMatchObject({ code: '23503' });
  });

  it('a version that was subscribed to does not change its price; the next one is for those who come', async () => {
    const c = await newCustomer(f);
    const plan = { key: 'versioned', family: 'test', tier: 'pro', name: 'V', currency: 'USD', basePrice: '10' };
    expect(await f.t.plans.operator.publish(plan)).toMatchObject({ version: 1 });
    await c.as(() => f.t.billing.subscribe({ plan: 'versioned' }));
    for (const statement of [
      "update tenantry.plans set base_price = 1 where key = 'versioned'",
      "delete from tenantry.plans where key = 'versioned'",
      "insert into tenantry.plan_metrics (plan_key, plan_version, metric, included) values ('versioned', 1, 'emails', 1)",
    ]) {
      await expect(f.db.query(statement), statement).rejects.toMatchObject({
        code: '23514',
        constraint: 'plans_subscribed',
      });
    }
    expect(await f.t.plans.operator.publish({ ...plan, basePrice: '12' })).toMatchObject({ version: 2 });
    expect(await c.as(() => f.t.billing.subscription())).toMatchObject({ plan: { version: 1 } });
    expect(await c.as(() => f.t.billing.changePlan({ plan: 'versioned' }))).toMatchObject({ plan: { version: 2 } });
    await f.t.plans.operator.offer('versioned', 2, false);
    await expect(c.as(() => f.t.billing.changePlan({ plan: 'versioned', version: 2 }))).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
    await expect(f.t.plans.operator.offer('versioned', 9, true)).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
  });

  it('wrong terms are refused by name, by the library and by the database', async () => {
    const c = await newCustomer(f);
    const tier = (upTo: string | null, unit = '1') => ({ upTo, unit });
    const wrong: [object, string][] = [
      [{ included: 1, tiers: [tier(null)] }, 'metrics.m.model'],
      [{ included: 1, model: 'graduated' }, 'metrics.m.tiers'],
      [{ included: 1, model: 'graduated', tiers: [tier('10')] }, 'metrics.m.tiers'],
      [{ included: 1, model: 'graduated', tiers: [tier('10'), tier('10'), tier(null)] }, 'metrics.m.tiers'],
      [{ included: 1, model: 'graduated', tiers: [tier(null), tier(null)] }, 'metrics.m.tiers'],
      [{ included: 1, model: 'package', tiers: [tier(null)] }, 'metrics.m.packageSize'],
      [{ included: 1, model: 'package', packageSize: 0, tiers: [tier(null)] }, 'metrics.m.packageSize'],
      [{ included: 1, model: 'package', packageSize: 5, tiers: [tier('1'), tier(null)] }, 'metrics.m.tiers'],
      [{ included: null, model: 'volume', tiers: [tier(null)] }, 'metrics.m.included'],
      [{ included: 1, hard: true, model: 'volume', tiers: [tier(null)] }, 'metrics.m.hard'],
      [{ included: 1, period: 'day', model: 'volume', tiers: [tier(null)] }, 'metrics.m.period'],
      [{ included: 1, model: 'volume', tiers: [tier(null, '-1')] }, 'metrics.m.tiers.0.unit'],
      [{ included: 0.5 }, 'metrics.m.included'],
    ];
    for (const [terms, field] of wrong) {
      await expect(
        c.as(() => f.t.plans.define({ ...own, metrics: { m: terms as never } })),
        JSON.stringify(terms),
      ).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
        message: expect.stringContaining(field),
      });
    }
    await expect(c.as(() => f.t.plans.define({ ...own, basePrice: 12.5 as never }))).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
    for (const tiers of [
      '[]',
      '{}',
      '[{"upTo": null}]',
      '[{"upTo": "x", "unit": "1"}]',
      '[{"upTo": "1", "unit": "1"}]',
      '[{"unit": "1"}]',
      'null',
    ]) {
      expect(await f.db.query('select tenantry.valid_tiers($1::jsonb) as valid', [tiers]), tiers).toEqual([
        { valid: false },
      ]);
    }
  });
});
