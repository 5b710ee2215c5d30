import { describe, expect, it } from 'vitest';
import { planInvoice } from '../../../src/metering/billing/plan-invoice.ts';
import { cases, from, january, tiered, used, volume } from './hand-worked.ts';
import { amounts, booked, plan, price, type Scenario, snapshotOf, terms } from './snapshots.ts';

describe('C4: hand-worked invoices agree to the cent', () => {
  it.each(cases)('%s', (_name, scenario, lines, total) => {
    const invoice = planInvoice(snapshotOf(scenario));
    expect(amounts(invoice)).toEqual(lines);
    expect(invoice.total).toBe(total);
    expect(invoice.lines.reduce((sum, { amount }) => sum + amount, 0)).toBe(total);
  });
});

/** Closes the periods one after another, each with what is known by then. */
function closeAll(steps: readonly Scenario[]): (readonly (readonly [string, number])[])[] {
  let before: ReturnType<typeof booked> = [];
  return steps.map((scenario, closing) => {
    const invoice = planInvoice(snapshotOf({ ...scenario, booked: before }, closing));
    before = booked(before, invoice);
    return amounts(invoice);
  });
}

describe('C4: hand-worked corrections agree to the cent', () => {
  it('a late event comes with the next invoice, at the price of its own month', () => {
    // January: 1500 - 1000 = 500 × 0.05 = 25.00. Late: 1000 more; 2500 - 1000 = 1500: 1000 × 0.05 + 500 × 0.03 = 65.00; 40.00 more
    const first = used(tiered, 1500);
    const late = used(tiered, 1500, { uses: [...first.uses!, ['2026-01-30T00:00:00Z', 1000]] });
    expect(closeAll([first, late, late])).toEqual([
      [
        ['base', 0],
        ['usage:calls', 2500],
      ],
      [
        ['correction usage:calls', 4000],
        ['base', 0],
        ['usage:calls', 0],
      ],
      [
        ['base', 0],
        ['usage:calls', 0],
      ],
    ]);
  });

  it('a late event that makes a volume price cheaper is given back, and what is too much is carried forward', () => {
    // 15 × 10 = 150.00; 16 × 5 = 80.00: -70.00, and nothing else to pay: 70.00 are carried
    const first = used(volume, 15);
    const late = used(volume, 15, { uses: [...first.uses!, ['2026-01-30T00:00:00Z', 1]] });
    const [, second] = closeAll([first, late]);
    expect(second).toEqual([
      ['correction usage:calls', -7000],
      ['base', 0],
      ['usage:calls', 0],
      ['carried', 7000],
    ]);
  });

  it('a price changed for the past is billed anew once, and not again', () => {
    // 1000 × 0.05 = 50.00; at 0.03 it is 30.00: -20.00
    const first = used(terms(), 1000, { phases: [[from, plan('P', '40', { calls: terms() })]] });
    const changed: Scenario = {
      ...first,
      customPrices: [price({ metric: 'calls', from, terms: terms({ tiers: [{ upTo: null, unit: '0.03' }] }) })],
    };
    expect(closeAll([first, changed, changed])).toEqual([
      [
        ['base', 4000],
        ['usage:calls', 5000],
      ],
      [
        ['correction usage:calls', -2000],
        ['base', 4000],
        ['usage:calls', 0],
      ],
      [
        ['base', 4000],
        ['usage:calls', 0],
      ],
    ]);
  });

  it('base fees in advance: the change of plan and the end come as corrections', () => {
    const advance = (name: string, base: string) => ({ ...plan(name, base), baseTiming: 'advance' as const });
    const start: Scenario = { edges: january, phases: [[from, advance('A', '31')]] };
    // changed on 17 January: 31 × 16/31 + 62 × 15/31 = 16 + 30 = 46.00; 31.00 was billed
    const changed: Scenario = { ...start, phases: [...start.phases, ['2026-01-17T00:00:00Z', advance('B', '62')]] };
    // ended on 15 February: 62 × 14/28 = 31.00; 62.00 was billed
    const ended: Scenario = { ...changed, endsAt: '2026-02-15T00:00:00Z' };
    let before: ReturnType<typeof booked> = [];
    const close = (scenario: Scenario, closing: number) => {
      const invoice = planInvoice(snapshotOf({ ...scenario, booked: before }, closing));
      before = booked(before, invoice);
      return amounts(invoice);
    };
    expect(close(start, -1)).toEqual([['base', 3100]]);
    expect(close(changed, 0)).toEqual([
      ['correction base', 1500],
      ['base', 6200],
    ]);
    expect(close(ended, 1)).toEqual([
      ['correction base', -3100],
      ['carried', 3100],
    ]);
  });

  it('a charge whose invoice was taken back is billed anew, as a line of its own month', () => {
    const scenario = used(terms(), 100);
    const invoice = planInvoice(snapshotOf(scenario, 1));
    expect(amounts(invoice)).toEqual([
      ['base', 0],
      ['usage:calls', 500],
      ['base', 0],
      ['usage:calls', 0],
    ]);
    expect(invoice.lines[1]?.serviceEnd).toEqual(new Date(january[1]!));
  });

  it('an amount past 2^53 - 1 is refused', () => {
    const scenario = used(terms({ tiers: [{ upTo: null, unit: '999999999999' }] }), '999999999999999');
    expect(() => planInvoice(snapshotOf(scenario))).toThrow(expect.objectContaining({ code: 'TNT_AMOUNT_TOO_LARGE' }));
  });
});
