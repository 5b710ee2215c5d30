import { describe, expect, it } from 'vitest';
import { billingFixture, newCustomer, type Customer } from './fixture.ts';

const f = billingFixture();
const at = (text: string): Date => new Date(text);
let serial = 0;
const use = (c: Customer, occurredAt: string, quantity: number | string, metric = 'conversations') =>
  c.as(() => f.t.usage.record({ id: `e${(serial += 1)}`, metric, quantity, occurredAt: at(occurredAt) }));

describe('C4: a month is billed', () => {
  it('preview = charge; a late event comes as a correction line; again: the same invoice', async () => {
    const c = await newCustomer(f);
    await c.as(() =>
      f.t.billing.operator.subscribe({
        plan: 'support-pro',
        timeZone: 'Europe/Berlin',
        startsAt: at('2025-12-31T23:00:00Z'),
        trialDays: 0,
      }),
    );
    await use(c, '2026-01-10T12:00:00Z', 6000);
    await use(c, '2026-01-31T22:59:59.999Z', 1);
    await use(c, '2026-01-31T23:00:00Z', 7);
    const preview = await c.as(() => f.t.billing.preview(0));
    const invoice = (await c.as(() => f.t.billing.operator.finalize()))!;
    // base 199.00; 6001 conversations - 5000 included = 1001 × 0.05 = 50.05
    expect(invoice.lines.map(({ kind, amount, quantity }) => [kind, amount, quantity])).toEqual([
      ['base', 19900, null],
      ['usage', 5005, '6001'],
    ]);
    expect(invoice.total).toBe(24905);
    expect({ ...preview }).toEqual(
      Object.fromEntries(Object.keys(preview).map((key) => [key, invoice[key as keyof typeof invoice]])),
    );
    expect(await c.as(() => f.t.billing.operator.finalize({ period: 0 }))).toEqual(invoice);
    await use(c, '2026-01-05T00:00:00Z', 10);
    const next = (await c.as(() => f.t.billing.operator.finalize()))!;
    // February: 7 conversations are included; January again: 6011 - 5000 = 1011 × 0.05 = 50.55, 50.05 billed
    expect(next.lines.map(({ kind, periodIndex, amount, quantity }) => [kind, periodIndex, amount, quantity])).toEqual([
      ['correction', 0, 50, '10'],
      ['base', 1, 19900, null],
      ['usage', 1, 0, '7'],
    ]);
    expect([invoice.number, next.number].map((n) => n.slice(-6))).toEqual(['000001', '000002']);
  });
});
