import type { BillingPeriod, BillingSnapshot, CustomPrice, Interval, MetricTerms, PlanTerms } from './types.ts';

/** A stretch of a period in which one price holds. */
export interface Segment<T> extends Interval {
  readonly terms: T;
  readonly plan: PlanTerms;
}

type Timeline = Pick<BillingSnapshot, 'activatesAt' | 'endsAt' | 'phases' | 'customPrices'>;

/** The part of a period that is billed: not before the trial's end, not after the subscription's. Empty: undefined. */
export function serviceOf(timeline: Timeline, period: BillingPeriod): Interval | undefined {
  const start = Math.max(period.start, timeline.activatesAt);
  const end = timeline.endsAt === null ? period.end : Math.min(period.end, timeline.endsAt);
  return start < end ? { start, end } : undefined;
}

/** Which base price holds when, within a period. */
export function baseSegments(timeline: Timeline, period: BillingPeriod): Segment<string>[] {
  return segments(timeline, period, null, (plan, custom) => custom?.basePrice ?? plan.basePrice);
}

/** Which terms of a metric hold when, within a period; stretches where the metric costs nothing are left out. */
export function metricSegments(timeline: Timeline, period: BillingPeriod, metric: string): Segment<MetricTerms>[] {
  const priced = segments(timeline, period, metric, (plan, custom) => {
    const terms = custom?.terms ?? plan.metrics[metric];
    return terms === undefined || terms.model === null ? undefined : terms;
  });
  return priced.flatMap((segment) => (segment.terms === undefined ? [] : [{ ...segment, terms: segment.terms }]));
}

/** Every metric that some plan or custom price of the timeline names, in a fixed order. */
export function metricsOf({ phases, customPrices }: Timeline): string[] {
  const names = new Set<string>();
  for (const { plan } of phases) for (const metric of Object.keys(plan.metrics)) names.add(metric);
  for (const { metric } of customPrices) if (metric !== null) names.add(metric);
  return [...names].sort();
}

/** The usage that planInvoice will ask for: one sum per metric and stretch of one price. */
export function usageRanges(snapshot: Omit<BillingSnapshot, 'usage'>): { metric: string; range: Interval }[] {
  return metricsOf(snapshot).flatMap((metric) =>
    snapshot.periods
      .filter(({ index }) => index <= snapshot.closing)
      .flatMap((period) =>
        metricSegments(snapshot, period, metric).map(({ start, end }) => ({ metric, range: { start, end } })),
      ),
  );
}

function segments<T>(
  timeline: Timeline,
  period: BillingPeriod,
  metric: string | null,
  termsOf: (plan: PlanTerms, custom: CustomPrice | undefined) => T,
): Segment<T>[] {
  const service = serviceOf(timeline, period);
  if (service === undefined) return [];
  const custom = timeline.customPrices.filter((price) => price.metric === metric);
  const cuts = [
    ...timeline.phases.map((phase) => phase.startsAt),
    ...custom.flatMap(({ from, to }) => (to === null ? [from] : [from, to])),
  ].filter((at) => at > service.start && at < service.end);
  const starts = [...new Set([service.start, ...cuts])].sort((a, b) => a - b);
  const found: Segment<T>[] = [];
  for (const [i, start] of starts.entries()) {
    const plan = timeline.phases.findLast((phase) => phase.startsAt <= start)?.plan;
    if (plan === undefined) continue;
    const holding = custom.findLast(({ from, to }) => from <= start && (to === null || start < to));
    const segment = { start, end: starts[i + 1] ?? service.end, plan, terms: termsOf(plan, holding) };
    const last = found.at(-1);
    // Where the price goes on, nothing is split: what is included counts once.
    if (last !== undefined && last.end === start && same(last, segment)) {
      found[found.length - 1] = { ...last, end: segment.end };
    } else found.push(segment);
  }
  return found;
}

const same = <T>(a: Segment<T>, b: Segment<T>): boolean =>
  (typeof a.terms === 'object' || a.plan.name === b.plan.name) && JSON.stringify(a.terms) === JSON.stringify(b.terms);
