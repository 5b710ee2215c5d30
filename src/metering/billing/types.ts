/** One step of a price, counted from the first unit above what is included. */
export interface Tier {
  /** The last unit of the tier; null: no end. */
  readonly upTo: string | null;
  /** Price of one unit (of one package, with model `package`) in the currency's main unit. */
  readonly unit: string;
  /** Added once when the tier is reached. */
  readonly flat?: string | undefined;
}

/** What holds for one metric: by a plan, or by an organization's custom price. */
export interface MetricTerms {
  readonly period: 'day' | 'month';
  /** Free of charge per period; null: unlimited. */
  readonly included: string | null;
  /** Whether more is refused. */
  readonly hard: boolean;
  readonly model: 'graduated' | 'volume' | 'package' | null;
  readonly tiers: readonly Tier[] | null;
  readonly packageSize: string | null;
  /** The most it costs in one period, in the main unit, before credits. */
  readonly cap: string | null;
}

export interface PlanTerms {
  readonly key: string;
  readonly version: number;
  readonly name: string;
  /** Per period, in the main unit. */
  readonly basePrice: string;
  readonly baseTiming: 'arrears' | 'advance';
  readonly metrics: Readonly<Record<string, MetricTerms>>;
}

/** Half-open: from `start` up to, not including, `end`. Milliseconds since 1970. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

export interface BillingPeriod extends Interval {
  /** 0 is the first one billed. */
  readonly index: number;
}

export interface CustomPrice {
  readonly id: string;
  /** Null: the base fee. */
  readonly metric: string | null;
  readonly from: number;
  readonly to: number | null;
  readonly basePrice: string | null;
  readonly terms: MetricTerms | null;
}

export interface CreditBalance {
  readonly id: string;
  /** Minor units left. */
  readonly remaining: number;
  readonly priority: number;
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly reason: string;
}

/** What has been billed of a charge of a period by invoices that stand. */
export interface Booked {
  readonly charge: string;
  readonly periodIndex: number;
  readonly amount: number;
  readonly quantity: string | null;
}

/** Everything an invoice depends on, read in one snapshot of the database. */
export interface BillingSnapshot {
  readonly currency: string;
  readonly timeZone: string;
  /** When billing starts: at the start, or at the end of the trial. */
  readonly activatesAt: number;
  readonly endsAt: number | null;
  /** The most that all usage together costs in a period, in the main unit: from a period on. By period. */
  readonly spendCaps: readonly { readonly fromPeriod: number; readonly cap: string | null }[];
  /** The period to close; -1 is the moment of activation, where base fees in advance begin. */
  readonly closing: number;
  /** From the oldest one that may still be corrected to the one after `closing`. */
  readonly periods: readonly BillingPeriod[];
  /** By start; of several at one instant the last one holds. */
  readonly phases: readonly { readonly startsAt: number; readonly plan: PlanTerms }[];
  /** Oldest first: the last one that holds wins. */
  readonly customPrices: readonly CustomPrice[];
  readonly booked: readonly Booked[];
  readonly credits: readonly CreditBalance[];
  /** Sums of usage by {@link usageKey}. */
  readonly usage: ReadonlyMap<string, string>;
}

export type LineKind = 'base' | 'usage' | 'cap' | 'correction' | 'credit' | 'carried' | 'credit_note';

export interface InvoiceLine {
  readonly kind: LineKind;
  /** `base`, `cap`, `usage:<metric>`, `credit`, `carried`. */
  readonly charge: string;
  readonly periodIndex: number | null;
  readonly serviceStart: Date;
  readonly serviceEnd: Date;
  readonly description: string;
  /** Units as an exact decimal; null where nothing is counted. */
  readonly quantity: string | null;
  /** Minor units before rounding, as an exact decimal. */
  readonly exact: string;
  /** Minor units. */
  readonly amount: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What an invoice says before it has a number. */
export interface PlannedInvoice {
  readonly periodIndex: number;
  readonly periodStart: Date;
  readonly periodEnd: Date;
  readonly currency: string;
  readonly timeZone: string;
  readonly lines: readonly InvoiceLine[];
  /** Sum of the charges, minor units; never below zero (see the line `carried`). */
  readonly subtotal: number;
  /** What credits pay, zero or less. */
  readonly credits: number;
  readonly total: number;
}

/** Name of one sum of usage in a snapshot. */
export const usageKey = (metric: string, { start, end }: Interval): string => `${metric}|${start}|${end}`;
