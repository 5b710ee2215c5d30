import { Exact, zero } from './exact.ts';
import type { MetricTerms } from './types.ts';

/** What one tier of a charge came to. */
export interface RatedTier {
  readonly quantity: string;
  readonly unit: string;
  readonly flat?: string;
  /** Main unit, exact. */
  readonly amount: string;
}

export interface Rated {
  /** Main unit, exact. */
  readonly amount: Exact;
  /** Units above what is included. */
  readonly over: Exact;
  readonly included: Exact | null;
  readonly tiers: readonly RatedTier[];
  /** Set when the cap took something off: what it would have been. */
  readonly uncapped?: string;
}

/**
 * The price of a quantity used in `part` of a period of length `whole`. What a price grants or asks per period (included
 * units, bounds and flat fees of tiers, the size of a package, the cap) shrinks with the part: with f the price of a whole
 * period, a part s of it costs s · f(quantity / s). Everything is multiplied by `whole` first and divided once at the end.
 */
export function rate(terms: MetricTerms, quantity: Exact, part: number, whole: number): Rated {
  if (terms.included === null || terms.model === null || terms.tiers === null) {
    return { amount: zero, over: zero, included: null, tiers: [] };
  }
  const included = new Exact(terms.included).mul(part).div(whole);
  const over = Exact.max(zero, quantity.mul(whole).minus(new Exact(terms.included).mul(part)));
  const { amount: scaled, tiers } = priceOf(terms, over, part, whole);
  const cap = terms.cap === null ? undefined : new Exact(terms.cap).mul(part);
  const capped = cap !== undefined && scaled.gt(cap);
  return {
    amount: (capped ? cap : scaled).div(whole),
    over: over.div(whole),
    included,
    tiers,
    ...(capped ? { uncapped: scaled.div(whole).toString() } : {}),
  };
}

/** `over` and the amount are multiplied by `whole`. */
function priceOf(terms: MetricTerms, over: Exact, part: number, whole: number): { amount: Exact; tiers: RatedTier[] } {
  const rated: RatedTier[] = [];
  let amount = zero;
  const add = (units: Exact, unit: string, flat: string | undefined, cost: Exact): void => {
    amount = amount.plus(cost);
    rated.push({
      quantity: units.div(whole).toString(),
      unit,
      ...(flat === undefined ? {} : { flat }),
      amount: cost.div(whole).toString(),
    });
  };
  if (over.isZero()) return { amount, tiers: rated };
  const tiers = (terms.tiers ?? []).map(({ upTo, unit, flat }) => ({
    bound: upTo === null ? undefined : new Exact(upTo).mul(part),
    unit,
    flat,
    fee: new Exact(flat ?? 0).mul(part),
  }));
  if (terms.model === 'package') {
    const [tier] = tiers;
    const packages = over.div(new Exact(terms.packageSize ?? 1).mul(part)).ceil();
    if (tier !== undefined)
      add(packages.mul(whole), tier.unit, tier.flat, packages.mul(tier.unit).mul(part).plus(tier.fee));
  } else if (terms.model === 'volume') {
    const tier = tiers.find(({ bound }) => bound === undefined || over.lte(bound));
    if (tier !== undefined) add(over, tier.unit, tier.flat, over.mul(tier.unit).plus(tier.fee));
  } else {
    let from = zero;
    for (const { bound, unit, flat, fee } of tiers) {
      const units = (bound === undefined ? over : Exact.min(over, bound)).minus(from);
      if (units.lte(0)) break;
      add(units, unit, flat, units.mul(unit).plus(fee));
      from = bound ?? over;
    }
  }
  return { amount, tiers: rated };
}
