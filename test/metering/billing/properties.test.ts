import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inOrder, useCredits } from '../../../src/metering/billing/credits.ts';
import { Exact } from '../../../src/metering/billing/exact.ts';
import { planInvoice } from '../../../src/metering/billing/plan-invoice.ts';
import { rate } from '../../../src/metering/billing/rate.ts';
import type { MetricTerms, PlannedInvoice } from '../../../src/metering/billing/types.ts';
import { booked, credit, plan, price, type Scenario, snapshotOf, terms, type Use } from './snapshots.ts';

const runs = { numRuns: 80 };
const decimal = (most: number, places: number): fc.Arbitrary<string> =>
  fc.integer({ min: 0, max: most * 10 ** places }).map((n) => new Exact(n).div(10 ** places).toString());

const tiersOf = (prices: readonly (readonly [string, string | undefined])[], steps: readonly number[]) => {
  let bound = 0;
  return prices.map(([unit, flat], i) => {
    bound += steps[i] ?? 1;
    return { upTo: i === prices.length - 1 ? null : String(bound), unit, ...(flat === undefined ? {} : { flat }) };
  });
};
const anyTiers = fc
  .tuple(
    fc.array(fc.tuple(decimal(3, 4), fc.option(decimal(5, 2), { nil: undefined })), { minLength: 1, maxLength: 4 }),
    fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 4, maxLength: 4 }),
  )
  .map(([prices, steps]) => tiersOf(prices, steps));
const anyTerms: fc.Arbitrary<MetricTerms> = fc
  .record({
    included: decimal(500, 1),
    model: fc.constantFrom('graduated' as const, 'volume' as const, 'package' as const),
    tiers: anyTiers,
    packageSize: fc.integer({ min: 1, max: 100 }).map(String),
    cap: fc.option(decimal(300, 2), { nil: null }),
  })
  .map(({ model, tiers, packageSize, ...rest }) =>
    terms({
      ...rest,
      model,
      tiers: model === 'package' ? [{ ...tiers[0]!, upTo: null }] : tiers,
      packageSize: model === 'package' ? packageSize : null,
    }),
  );

const edges = [
  '2026-01-31T10:00:00.000Z',
  '2026-02-28T10:00:00.000Z',
  '2026-03-31T09:00:00.000Z',
  '2026-04-30T09:00:00.000Z',
];
const [start, end] = [new Date(edges[0]!).getTime(), new Date(edges[3]!).getTime()];
const instant = fc.integer({ min: start, max: end - 1 }).map((at) => new Date(at).toISOString());
const anyPlan = fc
  .record({ base: decimal(200, 2), calls: anyTerms, mails: anyTerms, advance: fc.boolean() })
  .map(({ base, calls, mails, advance }) => ({
    ...plan(`P${base}`, base, { calls, mails }),
    baseTiming: advance ? ('advance' as const) : ('arrears' as const),
  }));
const anyUse: fc.Arbitrary<Use> = fc.tuple(instant, decimal(600, 2), fc.constantFrom('calls', 'mails'));
const anyScenario: fc.Arbitrary<Scenario> = fc.record(
  {
    edges: fc.constant(edges),
    currency: fc.constantFrom('USD', 'JPY', 'KWD'),
    phases: fc
      .tuple(anyPlan, fc.array(fc.tuple(instant, anyPlan), { maxLength: 3 }))
      .map(([first, more]) => [
        [edges[0]!, first] as const,
        ...more.sort(([a], [b]) => (a < b ? -1 : 1)).map(([at, to]) => [at, to] as const),
      ]),
    customPrices: fc.array(
      fc
        .tuple(instant, fc.option(anyTerms, { nil: null }), decimal(99, 2))
        .map(([from, own, base]) =>
          own === null ? price({ from, basePrice: base }) : price({ from, metric: 'calls', terms: own }),
        ),
      { maxLength: 2 },
    ),
    uses: fc.array(anyUse, { maxLength: 12 }),
    spendCap: fc.option(decimal(200, 2), { nil: '999999' }),
    endsAt: fc.option(instant, { nil: edges[3]! }),
    credits: fc.array(
      fc
        .tuple(
          fc.uuid(),
          fc.integer({ min: 0, max: 20000 }),
          fc.integer({ min: 0, max: 3 }),
          fc.option(fc.integer({ min: start, max: end }), { nil: null }),
        )
        .map(([id, left, priority, expiresAt]) => credit(id, left, { priority, expiresAt })),
      { maxLength: 5 },
    ),
  },
  { requiredKeys: ['edges', 'currency', 'phases', 'uses'] },
);

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const charged = ({ lines }: PlannedInvoice): number =>
  sum(lines.filter(({ kind }) => kind !== 'credit' && kind !== 'carried').map(({ amount }) => amount));

describe('C4: what holds for every invoice', () => {
  it('the sum of its lines is its total, never below zero; each line is its exact amount rounded once', () => {
    fc.assert(
      fc.property(anyScenario, fc.integer({ min: -1, max: 2 }), (scenario, closing) => {
        const invoice = planInvoice(snapshotOf(scenario, closing));
        expect(sum(invoice.lines.map(({ amount }) => amount))).toBe(invoice.total);
        expect(invoice.subtotal + invoice.credits).toBe(invoice.total);
        expect(invoice.total).toBeGreaterThanOrEqual(0);
        for (const { amount, exact } of invoice.lines) {
          const off = new Exact(exact).minus(amount);
          expect(off.abs().lte(0.5)).toBe(true);
          // half a unit goes away from zero
          if (off.abs().eq(0.5)) expect(Math.abs(amount)).toBeGreaterThan(new Exact(exact).abs().toNumber());
        }
      }),
      runs,
    );
  });

  it('rating again changes nothing: all that was billed is billed', () => {
    fc.assert(
      fc.property(anyScenario, (scenario) => {
        const first = planInvoice(snapshotOf(scenario, 2));
        const again = planInvoice(snapshotOf({ ...scenario, booked: booked([], first) }, 2));
        expect(again.lines).toEqual([]);
      }),
      runs,
    );
  });

  it('splitting an event changes nothing', () => {
    fc.assert(
      fc.property(anyScenario, fc.integer({ min: 2, max: 7 }), (scenario, parts) => {
        const split = scenario.uses!.flatMap(([at, quantity, metric]): Use[] => {
          const part = new Exact(quantity).div(parts).toDecimalPlaces(3);
          const rest = new Exact(quantity).minus(part.mul(parts - 1));
          return [
            ...Array.from({ length: parts - 1 }, (): Use => [at, part.toString(), metric!]),
            [at, rest.toString(), metric!],
          ];
        });
        expect(planInvoice(snapshotOf({ ...scenario, uses: split }, 2))).toEqual(planInvoice(snapshotOf(scenario, 2)));
      }),
      runs,
    );
  });

  it('bills month by month, with late events, come to what one bill for all comes to', () => {
    fc.assert(
      fc.property(anyScenario, fc.array(anyUse, { maxLength: 6 }), (scenario, late) => {
        const all: Scenario = { ...scenario, uses: [...scenario.uses!, ...late] };
        let before: ReturnType<typeof booked> = [];
        let total = 0;
        // the late events come in one by one, between the bills
        for (let closing = -1; closing <= 3; closing += 1) {
          const known = late.slice(0, Math.max(0, closing) * 2);
          const uses = closing === 3 ? all.uses! : [...scenario.uses!, ...known];
          const invoice = planInvoice(snapshotOf({ ...scenario, uses, booked: before }, Math.min(closing, 2)));
          before = booked(before, invoice);
          total += charged(invoice);
        }
        expect(total).toBe(charged(planInvoice(snapshotOf(all, 2))));
      }),
      runs,
    );
  });

  it('a change to the same plan changes nothing', () => {
    fc.assert(
      fc.property(anyScenario, instant, (scenario, at) => {
        const holding = scenario.phases.findLast(([from]) => from <= at)![1];
        const phases = [...scenario.phases, [at, holding] as const].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
        expect(planInvoice(snapshotOf({ ...scenario, phases }, 2))).toEqual(planInvoice(snapshotOf(scenario, 2)));
      }),
      runs,
    );
  });
});

describe('C4: what holds for every price', () => {
  const part = fc.integer({ min: 1, max: 2_678_400_000 });

  it('the units of the tiers are the units above what is included', () => {
    fc.assert(
      fc.property(anyTerms, decimal(3000, 2), part, (of, quantity, share) => {
        const { over, tiers } = rate(of, new Exact(quantity), share, 2_678_400_000);
        const units = tiers.reduce((all, tier) => all.plus(tier.quantity), new Exact(0));
        if (of.model === 'package')
          expect(units.mul(of.packageSize!).mul(share).gte(over.mul(2_678_400_000).minus('1e-60'))).toBe(true);
        else expect(units.minus(over).abs().lt('1e-80')).toBe(true);
      }),
      runs,
    );
  });

  it('more never costs less, but with volume prices', () => {
    fc.assert(
      fc.property(anyTerms, decimal(3000, 2), decimal(50, 2), part, (of, quantity, more, share) => {
        fc.pre(of.model !== 'volume');
        const less = rate(of, new Exact(quantity), share, 2_678_400_000).amount;
        expect(rate(of, new Exact(quantity).plus(more), share, 2_678_400_000).amount.gte(less)).toBe(true);
      }),
      runs,
    );
  });

  it('a part of a period costs that part of what the same pace costs in a whole one', () => {
    fc.assert(
      fc.property(anyTerms, fc.integer({ min: 0, max: 2000 }), fc.constantFrom(2, 4, 5, 8, 10), (of, quantity, n) => {
        const whole = rate(of, new Exact(quantity).mul(n), 1000, 1000).amount;
        expect(
          rate(of, new Exact(quantity), 1000 / n, 1000)
            .amount.mul(n)
            .minus(whole)
            .abs()
            .lt('1e-80'),
        ).toBe(true);
      }),
      runs,
    );
  });
});

describe('C4: credits', () => {
  const anyCredits = fc.array(
    fc
      .record({
        id: fc.uuid(),
        left: fc.integer({ min: 0, max: 500 }),
        priority: fc.integer({ min: 0, max: 2 }),
        expiresAt: fc.option(fc.integer({ min: 0, max: 20 }), { nil: null }),
        createdAt: fc.integer({ min: 0, max: 5 }),
      })
      .map(({ id, left, ...values }) => credit(id, left, values)),
    { maxLength: 8 },
  );

  it('are used in one order, whatever order they come in, and never more than there is', () => {
    fc.assert(
      fc.property(
        anyCredits,
        fc.integer({ min: 0, max: 3000 }),
        fc.integer({ min: 0, max: 20 }),
        (credits, amount, at) => {
          const uses = useCredits(credits, amount, at);
          expect(useCredits([...credits].reverse(), amount, at)).toEqual(uses);
          const usable = credits.filter(({ expiresAt }) => expiresAt === null || expiresAt > at);
          expect(sum(uses.map(({ used }) => used))).toBe(
            Math.min(amount, sum(usable.map(({ remaining }) => remaining))),
          );
          for (const { credit: of, used } of uses) expect(used > 0 && used <= of.remaining).toBe(true);
          const order = inOrder(credits).map(({ id }) => id);
          const places = uses.map(({ credit: of }) => order.indexOf(of.id));
          expect(places).toEqual([...places].sort((a, b) => a - b));
        },
      ),
      runs,
    );
  });
});
