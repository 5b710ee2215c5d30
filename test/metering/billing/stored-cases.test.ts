import { beforeAll, describe, expect, it } from 'vitest';
import type { PlanTerms } from '../../../src/metering/billing/types.ts';
import { billingFixture, type Customer, newCustomer } from './fixture.ts';
import { cases } from './hand-worked.ts';
import { amounts, type Scenario } from './snapshots.ts';

const f = billingFixture();
const day = 86_400_000;
const at = (instant: string | number): Date => new Date(instant);
beforeAll(async () => {
  await f.db.query(
    `insert into tenantry.metrics (name, title, aggregation) values ('calls', 'Calls', 'sum'), ('mails', 'Mails', 'sum')`,
  );
});

let serial = 0;
async function published(plan: PlanTerms, currency: string): Promise<string> {
  const key = `case-${(serial += 1)}`;
  const { name, basePrice, baseTiming, metrics } = plan;
  await f.t.plans.operator.publish({
    key,
    tier: 'pro',
    name,
    currency,
    basePrice,
    baseTiming,
    metrics: metrics as never,
  });
  return key;
}

/** The same case through the public API: plans, a subscription, prices, credits and events, as they would have come. */
async function live(scenario: Scenario): Promise<Customer> {
  const { currency = 'USD', timeZone = 'UTC', edges, phases, activatesAt, endsAt, spendCap } = scenario;
  const customer = await newCustomer(f);
  const { operator } = f.t.billing;
  const [[begins, first], ...changes] = phases as [Scenario['phases'][number], ...Scenario['phases'][number][]];
  const trial = activatesAt !== undefined && activatesAt === edges[0];
  const partly = activatesAt !== undefined && !trial;
  await customer.as(async () => {
    await operator.subscribe({
      plan: await published(first, currency),
      startsAt: at(partly ? activatesAt : begins),
      trialDays: trial ? Math.round((Date.parse(activatesAt) - Date.parse(begins)) / day) : 0,
      timeZone,
      align: partly ? 'calendar' : 'anniversary',
    });
    for (const [from, plan] of changes)
      await operator.changePlan({ plan: await published(plan, currency), at: at(from) });
    for (const { metric, basePrice, terms, from, to } of scenario.customPrices ?? []) {
      const dates = { effectiveFrom: at(from), ...(to === null ? {} : { effectiveTo: at(to) }) };
      if (metric === null) await operator.setPrice({ basePrice: String(basePrice), ...dates });
      else await operator.setPrice({ metric, terms: terms as never, ...dates });
    }
    const credits = (scenario.credits ?? []).toSorted((a, b) => a.createdAt - b.createdAt);
    for (const { remaining, priority, expiresAt, reason } of credits)
      await operator.grantCredit({
        amount: remaining,
        priority,
        reason,
        expiresAt: expiresAt === null ? null : at(expiresAt),
      });
    for (const [i, [when, quantity, metric = 'calls']] of (scenario.uses ?? []).entries())
      await f.t.usage.record({ id: `use ${i}`, metric, quantity, occurredAt: at(when) });
    if (endsAt !== undefined) await operator.cancel({ at: at(endsAt) });
  });
  // a cap that is set now holds from the running period on: this one was set when the subscription began
  if (spendCap !== undefined)
    await f.db.query(
      `insert into tenantry.subscription_caps (tenant_id, subscription_id, from_period, cap)
       select tenant_id, id, 0, $2 from tenantry.subscriptions where tenant_id = $1`,
      [customer.tenantId, spendCap],
    );
  return customer;
}

describe('C4: hand-worked invoices agree to the cent, from the database', () => {
  it.each(cases)('%s', async (_, scenario, lines, total) => {
    const customer = await live(scenario);
    const preview = await customer.as(() => f.t.billing.preview(0));
    const invoice = (await customer.as(() => f.t.billing.operator.finalize()))!;
    expect(amounts(invoice)).toEqual(lines);
    expect([invoice.total, preview.total]).toEqual([total, total]);
    expect(amounts(preview)).toEqual(lines);
    const start = Math.max(...[scenario.edges[0]!, scenario.activatesAt ?? scenario.edges[0]!].map(Date.parse));
    expect([invoice.periodStart, invoice.periodEnd]).toEqual([at(start), at(scenario.endsAt ?? scenario.edges[1]!)]);
    const [stored] = await f.db.query<{ sum: string }>(
      'select sum(l.amount) as sum from tenantry.invoice_lines l where l.tenant_id = $1 and l.invoice_id = $2',
      [customer.tenantId, invoice.id],
    );
    expect(Number(stored!.sum)).toBe(total);
  });
});
