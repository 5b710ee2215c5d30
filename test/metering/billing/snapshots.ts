import { Exact } from '../../../src/metering/billing/exact.ts';
import { usageRanges } from '../../../src/metering/billing/segments.ts';
import type {
  BillingPeriod,
  BillingSnapshot,
  Booked,
  CreditBalance,
  CustomPrice,
  MetricTerms,
  PlannedInvoice,
  PlanTerms,
} from '../../../src/metering/billing/types.ts';
import { usageKey } from '../../../src/metering/billing/types.ts';

export const ms = (text: string): number => new Date(text).getTime();

export const terms = (values: Partial<MetricTerms> = {}): MetricTerms => ({
  period: 'month',
  included: '0',
  hard: false,
  model: 'graduated',
  tiers: [{ upTo: null, unit: '0.05' }],
  packageSize: null,
  cap: null,
  ...values,
});

export const plan = (name: string, basePrice: string, metrics: PlanTerms['metrics'] = {}): PlanTerms => ({
  key: name.toLowerCase(),
  version: 1,
  name,
  basePrice,
  baseTiming: 'arrears',
  metrics,
});

/** When, of which metric, how much. */
export type Use = readonly [at: string, quantity: string | number, metric?: string];

export interface Scenario {
  readonly currency?: string;
  /** Whose midnights the edges are. UTC unless given. */
  readonly timeZone?: string;
  /** Edges of the periods: the end of one is the start of the next. */
  readonly edges: readonly string[];
  readonly phases: readonly (readonly [startsAt: string, plan: PlanTerms])[];
  readonly activatesAt?: string;
  readonly endsAt?: string;
  readonly spendCap?: string;
  readonly customPrices?: readonly CustomPrice[];
  readonly uses?: readonly Use[];
  readonly credits?: readonly CreditBalance[];
  readonly booked?: readonly Booked[];
}

export const price = (
  values: Partial<Omit<CustomPrice, 'from' | 'to'>> & { from: string; to?: string },
): CustomPrice => ({
  id: values.from,
  metric: null,
  basePrice: null,
  terms: null,
  ...values,
  from: ms(values.from),
  to: values.to === undefined ? null : ms(values.to),
});

export const credit = (id: string, remaining: number, values: Partial<CreditBalance> = {}): CreditBalance => ({
  id,
  remaining,
  priority: 100,
  expiresAt: null,
  createdAt: 0,
  reason: id,
  ...values,
});

/** What the database would hold: usage is summed over the stretches that are asked for. */
export function snapshotOf(scenario: Scenario, closing = 0): BillingSnapshot {
  const edges = scenario.edges.map(ms);
  const periods: BillingPeriod[] = edges
    .slice(0, -1)
    .map((start, index) => ({ index, start, end: edges[index + 1]! }))
    .filter(({ index }) => index <= closing + 1);
  const snapshot = {
    currency: scenario.currency ?? 'USD',
    timeZone: scenario.timeZone ?? 'UTC',
    activatesAt: scenario.activatesAt === undefined ? edges[0]! : ms(scenario.activatesAt),
    endsAt: scenario.endsAt === undefined ? null : ms(scenario.endsAt),
    spendCaps: scenario.spendCap === undefined ? [] : [{ fromPeriod: 0, cap: scenario.spendCap }],
    closing,
    periods,
    phases: scenario.phases.map(([startsAt, of]) => ({ startsAt: ms(startsAt), plan: of })),
    customPrices: scenario.customPrices ?? [],
    booked: scenario.booked ?? [],
    credits: scenario.credits ?? [],
  };
  const usage = new Map<string, string>();
  for (const { metric, range } of usageRanges(snapshot)) {
    let sum = new Exact(0);
    for (const [at, quantity, of = 'calls'] of scenario.uses ?? []) {
      if (of === metric && ms(at) >= range.start && ms(at) < range.end) sum = sum.plus(quantity);
    }
    usage.set(usageKey(metric, range), sum.toString());
  }
  return { ...snapshot, usage };
}

/** What stands after the invoice was stored: what it billed is booked. */
export function booked(before: readonly Booked[], invoice: PlannedInvoice): Booked[] {
  const all = new Map<string, Booked>(before.map((entry) => [`${entry.periodIndex} ${entry.charge}`, entry]));
  for (const { charge, periodIndex, amount, quantity } of invoice.lines) {
    if (periodIndex === null) continue;
    const key = `${periodIndex} ${charge}`;
    const old = all.get(key);
    all.set(key, {
      charge,
      periodIndex,
      amount: (old?.amount ?? 0) + amount,
      quantity: new Exact(old?.quantity ?? 0).plus(quantity ?? 0).toString(),
    });
  }
  return [...all.values()];
}

export const amounts = ({ lines }: Pick<PlannedInvoice, 'lines'>): (readonly [string, number])[] =>
  lines.map(({ kind, charge, amount }) => [kind === 'correction' ? `correction ${charge}` : charge, amount]);
