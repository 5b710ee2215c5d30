import { type Exact, zero } from './exact.ts';
import type { PlannedInvoice } from './types.ts';

/** What of a metric was used above what is included, and what it costs. */
export interface Overage {
  readonly metric: string;
  /** Units used in the period, an exact decimal. */
  readonly quantity: string;
  /** Units above what is included. */
  readonly over: string;
  /** Minor units of the currency, before a spending cap over all metrics. */
  readonly cost: number;
  readonly currency: string;
}

/** The usage of an invoice's own period, by metric. */
export function overageOf({ lines, periodIndex, currency }: PlannedInvoice): Overage[] {
  const found = new Map<string, { quantity: Exact; over: Exact; cost: number }>();
  for (const { kind, charge, periodIndex: index, quantity, details, amount } of lines) {
    if (kind !== 'usage' || index !== periodIndex) continue;
    const metric = charge.slice('usage:'.length);
    const { quantity: all, over, cost } = found.get(metric) ?? { quantity: zero, over: zero, cost: 0 };
    const above = details['over'];
    found.set(metric, {
      quantity: all.plus(quantity ?? 0),
      over: over.plus(typeof above === 'string' ? above : 0),
      cost: cost + amount,
    });
  }
  return [...found].map(([metric, { quantity, over, cost }]) => ({
    metric,
    quantity: quantity.toString(),
    over: over.toSignificantDigits(30).toString(),
    cost,
    currency,
  }));
}
