import { useCredits } from './credits.ts';
import { Exact, inMinorUnits, roundedMinor, safeAmount, zero } from './exact.ts';
import { rate } from './rate.ts';
import { baseSegments, metricSegments, metricsOf, serviceOf } from './segments.ts';
import {
  type BillingPeriod,
  type BillingSnapshot,
  type Interval,
  type InvoiceLine,
  type PlannedInvoice,
  usageKey,
} from './types.ts';

/**
 * What an invoice says: the preview and the charge are both this function over what one snapshot of the database holds.
 * It rates every period that may still change from its whole usage, and bills what that comes to minus what invoices that
 * stand have billed of it: a charge billed for the first time is a line of its own, a change to one billed before is a
 * correction.
 *
 * @throws TNT_AMOUNT_TOO_LARGE
 */
export function planInvoice(snapshot: BillingSnapshot): PlannedInvoice {
  const closing = snapshot.periods.find(({ index }) => index === snapshot.closing);
  const charges = dueCharges(snapshot);
  const lines = chargeLines(snapshot, charges);
  const { start, end } = invoiceInterval(snapshot, closing);
  const subtotal = safeAmount(lines.reduce((sum, line) => sum + line.amount, 0));
  const at = { periodIndex: null, serviceStart: new Date(start), serviceEnd: new Date(end), quantity: null };
  if (subtotal < 0) {
    lines.push({
      ...at,
      kind: 'carried',
      charge: 'carried',
      description: 'Carried forward as a credit',
      exact: String(-subtotal),
      amount: -subtotal,
      details: {},
    });
  }
  for (const { credit, used } of useCredits(snapshot.credits, subtotal, end)) {
    lines.push({
      ...at,
      kind: 'credit',
      charge: 'credit',
      description: `Credit: ${credit.reason}`,
      exact: String(-used),
      amount: -used,
      details: { creditId: credit.id },
    });
  }
  const credits = lines.reduce((sum, line) => (line.kind === 'credit' ? sum + line.amount : sum), 0);
  return {
    periodIndex: snapshot.closing,
    periodStart: new Date(start),
    periodEnd: new Date(end),
    currency: snapshot.currency,
    timeZone: snapshot.timeZone,
    lines,
    subtotal: Math.max(0, subtotal),
    credits: safeAmount(credits),
    total: safeAmount(Math.max(0, subtotal) + credits),
  };
}

/** Where an invoice's own period lies; the one at activation has no length. */
function invoiceInterval(snapshot: BillingSnapshot, closing: BillingPeriod | undefined): Interval {
  const { activatesAt } = snapshot;
  if (closing === undefined || snapshot.closing < 0) return { start: activatesAt, end: activatesAt };
  return serviceOf(snapshot, closing) ?? { start: activatesAt, end: activatesAt };
}

/** One charge of one period: what it should come to by all that is known. */
interface Charge {
  readonly charge: string;
  readonly period: BillingPeriod;
  readonly lines: readonly InvoiceLine[];
}

function dueCharges(snapshot: BillingSnapshot): Charge[] {
  const metrics = metricsOf(snapshot);
  return snapshot.periods.flatMap((period) => {
    const due: Charge[] = [];
    const base = baseSegments(snapshot, period);
    const closed = period.index <= snapshot.closing;
    const inAdvance = base[0]?.plan.baseTiming === 'advance' && period.index === snapshot.closing + 1;
    if (closed || inAdvance)
      due.push({ charge: 'base', period, lines: base.map((s) => baseLine(snapshot, period, s)) });
    if (!closed) return due;
    const usage = metrics.map((metric) => ({
      charge: `usage:${metric}`,
      period,
      lines: metricSegments(snapshot, period, metric).map((s) => usageLine(snapshot, period, metric, s)),
    }));
    const cap = capLine(
      snapshot,
      period,
      usage.flatMap(({ lines }) => lines),
    );
    due.push(...usage, { charge: 'cap', period, lines: cap === undefined ? [] : [cap] });
    return due;
  });
}

function baseLine(
  { currency }: BillingSnapshot,
  period: BillingPeriod,
  { start, end, terms: price, plan }: ReturnType<typeof baseSegments>[number],
): InvoiceLine {
  const whole = period.end - period.start;
  const part = end - start;
  const exact = inMinorUnits(new Exact(price).mul(part), currency).div(whole);
  return {
    kind: 'base',
    charge: 'base',
    periodIndex: period.index,
    serviceStart: new Date(start),
    serviceEnd: new Date(end),
    description: part === whole ? plan.name : `${plan.name}, part of the period`,
    quantity: null,
    exact: exact.toString(),
    amount: roundedMinor(exact),
    details: { plan: plan.key, version: plan.version, price, part, whole },
  };
}

function usageLine(
  { currency, usage }: BillingSnapshot,
  period: BillingPeriod,
  metric: string,
  { start, end, terms, plan }: ReturnType<typeof metricSegments>[number],
): InvoiceLine {
  const whole = period.end - period.start;
  const part = end - start;
  const quantity = new Exact(usage.get(usageKey(metric, { start, end })) ?? 0);
  const rated = rate(terms, quantity, part, whole);
  const exact = inMinorUnits(rated.amount, currency);
  return {
    kind: 'usage',
    charge: `usage:${metric}`,
    periodIndex: period.index,
    serviceStart: new Date(start),
    serviceEnd: new Date(end),
    description: metric,
    quantity: quantity.toString(),
    exact: exact.toString(),
    amount: roundedMinor(exact),
    details: {
      plan: plan.key,
      version: plan.version,
      model: terms.model,
      included: rated.included?.toString() ?? null,
      over: rated.over.toString(),
      tiers: rated.tiers,
      part,
      whole,
      ...(terms.packageSize === null ? {} : { packageSize: terms.packageSize }),
      ...(rated.uncapped === undefined ? {} : { cap: terms.cap, uncapped: rated.uncapped }),
    },
  };
}

/** What usage costs above the subscription's cap, taken off again. */
function capLine(
  snapshot: BillingSnapshot,
  period: BillingPeriod,
  usage: readonly InvoiceLine[],
): InvoiceLine | undefined {
  const service = serviceOf(snapshot, period);
  const cap = snapshot.spendCaps.findLast(({ fromPeriod }) => fromPeriod <= period.index)?.cap ?? null;
  if (cap === null || service === undefined) return undefined;
  const part = new Exact(service.end - service.start);
  const exact = inMinorUnits(new Exact(cap), snapshot.currency)
    .mul(part)
    .div(period.end - period.start);
  const charged = usage.reduce((sum, { amount }) => sum + amount, 0);
  const above = charged - roundedMinor(exact);
  if (above <= 0) return undefined;
  return {
    kind: 'cap',
    charge: 'cap',
    periodIndex: period.index,
    serviceStart: new Date(service.start),
    serviceEnd: new Date(service.end),
    description: 'Above the spending cap',
    quantity: null,
    exact: String(-above),
    amount: safeAmount(-above),
    details: { cap, charged },
  };
}

function chargeLines(snapshot: BillingSnapshot, charges: readonly Charge[]): InvoiceLine[] {
  const booked = new Map<string, { amount: number; quantity: Exact }>();
  const keyOf = (charge: string, index: number): string => `${index} ${charge}`;
  for (const { charge, periodIndex, amount, quantity } of snapshot.booked) {
    booked.set(keyOf(charge, periodIndex), { amount, quantity: new Exact(quantity ?? 0) });
  }
  const seen = new Set(charges.map(({ charge, period }) => keyOf(charge, period.index)));
  // Billed once, and by now nothing any more: the metric's price went, or the subscription ended before.
  const gone: Charge[] = snapshot.booked.flatMap(({ charge, periodIndex }) => {
    const period = snapshot.periods.find(({ index }) => index === periodIndex);
    return period === undefined || seen.has(keyOf(charge, periodIndex)) ? [] : [{ charge, period, lines: [] }];
  });
  return [...charges, ...gone].flatMap(({ charge, period, lines }) => {
    const before = booked.get(keyOf(charge, period.index));
    return before === undefined ? [...lines] : correction(charge, period, lines, before);
  });
}

function correction(
  charge: string,
  period: BillingPeriod,
  lines: readonly InvoiceLine[],
  before: { amount: number; quantity: Exact },
): InvoiceLine[] {
  const now = lines.reduce((sum, line) => sum + line.amount, 0);
  const quantity = lines.reduce((sum, line) => sum.plus(line.quantity ?? 0), zero);
  const amount = safeAmount(now - before.amount);
  const counted = charge.startsWith('usage:');
  if (amount === 0) return [];
  return [
    {
      kind: 'correction',
      charge,
      periodIndex: period.index,
      serviceStart: lines[0]?.serviceStart ?? new Date(period.start),
      serviceEnd: lines.at(-1)?.serviceEnd ?? new Date(period.end),
      description: `Correction: ${charge.replace(/^usage:/, '')}`,
      quantity: counted ? quantity.minus(before.quantity).toString() : null,
      exact: String(amount),
      amount,
      details: { billed: before.amount, due: now, parts: lines.map(({ details }) => details) },
    },
  ];
}
