import { z } from 'zod';
import { pageFields } from '../../directory/page.ts';
import {
  currencySchema,
  metricSchema,
  metricTermsSchema,
  planKeySchema,
  planVersionSchema,
  priceSchema,
} from '../plans/schema.ts';
import type { InvoiceLine, PlannedInvoice } from './types.ts';

const requestKey = z.string().min(1).max(255);
const reason = z.string().trim().min(1).max(1000);
const instant = z.date();
/** Minor units, a whole number above zero. */
const positiveAmount = z.int().min(1);

export const when = z.enum(['now', 'period_end']);

export const subscribeSchema = z.strictObject({
  plan: planKeySchema,
  version: planVersionSchema.optional(),
  /** IANA name. Defaults to the organization's setting time_zone, else UTC. */
  timeZone: z.string().min(1).max(63).optional(),
  /** Where billing periods begin: at the instant that billing starts, or on the first of the month. */
  align: z.enum(['anniversary', 'calendar']).default('anniversary'),
});
export type Subscribe = z.input<typeof subscribeSchema>;

export const operatorSubscribeSchema = subscribeSchema.extend({
  startsAt: instant.optional(),
  /** Instead of the plan's. */
  trialDays: z.int().min(0).max(730).optional(),
});
export type OperatorSubscribe = z.input<typeof operatorSubscribeSchema>;

export const changePlanSchema = z.strictObject({
  plan: planKeySchema,
  version: planVersionSchema.optional(),
  when: when.default('now'),
  /** Makes a call that is repeated after a lost answer one change. */
  requestKey: requestKey.optional(),
});
export type ChangePlan = z.input<typeof changePlanSchema>;
export const operatorChangePlanSchema = changePlanSchema.extend({ at: instant.optional() });
export type OperatorChangePlan = z.input<typeof operatorChangePlanSchema>;

export const cancelSchema = z.strictObject({ when: when.default('period_end') });
export type Cancel = z.input<typeof cancelSchema>;
export const operatorCancelSchema = cancelSchema.extend({ at: instant.optional() });
export type OperatorCancel = z.input<typeof operatorCancelSchema>;

const dates = { effectiveFrom: instant, effectiveTo: instant.optional(), reason: reason.optional() };
export const setPriceSchema = z.union([
  z.strictObject({ basePrice: priceSchema, ...dates }),
  z.strictObject({ metric: metricSchema, terms: metricTermsSchema, ...dates }),
]);
export type SetPrice = z.input<typeof setPriceSchema>;

export const grantCreditSchema = z.strictObject({
  amount: positiveAmount,
  /** Defaults to the subscription's. */
  currency: currencySchema.optional(),
  /** Low numbers are used first. */
  priority: z.int().min(0).max(1_000_000).default(100),
  expiresAt: instant.nullable().default(null),
  reason,
  requestKey: requestKey.optional(),
});
export type GrantCredit = z.input<typeof grantCreditSchema>;

export const creditNoteSchema = z.strictObject({
  amount: positiveAmount,
  reason,
  /** Where the money goes: into a credit for coming invoices, or back outside of Tenantry. */
  settle: z.enum(['credit', 'refund']).default('credit'),
  requestKey: requestKey.optional(),
});
export type CreditNote = z.input<typeof creditNoteSchema>;

export const finalizeDueSchema = z.strictObject({
  /** Closes what ended before this instant; defaults to now. */
  by: instant.optional(),
  /** How long events may still come in after the end of a period. */
  graceMinutes: z
    .int()
    .min(0)
    .max(60 * 24 * 30)
    .default(60),
});
export type FinalizeDue = z.input<typeof finalizeDueSchema>;

export const listInvoicesSchema = z.strictObject(pageFields);
export type ListInvoices = z.input<typeof listInvoicesSchema>;

/** A finalized invoice or credit note. Amounts in minor units of its currency. */
export interface Invoice extends Omit<PlannedInvoice, 'periodIndex'> {
  readonly id: string;
  readonly kind: 'invoice' | 'credit_note';
  /** Without gaps, per organization and kind. */
  readonly number: string;
  readonly status: 'final' | 'void';
  readonly subscriptionId: string;
  readonly correctsInvoiceId: string | null;
  readonly periodIndex: number | null;
  readonly reason: string | null;
  readonly issuedAt: Date;
  readonly voidedAt: Date | null;
  readonly lines: readonly InvoiceLine[];
}

export interface Credit {
  readonly id: string;
  readonly currency: string;
  /** Minor units. */
  readonly amount: number;
  /** Minor units that are left. */
  readonly remaining: number;
  readonly priority: number;
  readonly expiresAt: Date | null;
  readonly source: 'grant' | 'carried' | 'credit_note';
  readonly sourceInvoiceId: string | null;
  readonly reason: string;
  readonly createdAt: Date;
  readonly voidedAt: Date | null;
}

export interface Subscription {
  readonly id: string;
  readonly status: 'scheduled' | 'trialing' | 'active' | 'canceled';
  readonly plan: { readonly key: string; readonly version: number; readonly name: string; readonly tier: string };
  /** A change that is planned for later. */
  readonly next: { readonly plan: string; readonly version: number; readonly at: Date } | null;
  readonly currency: string;
  readonly timeZone: string;
  readonly startsAt: Date;
  readonly trialEndsAt: Date | null;
  readonly canceledAt: Date | null;
  readonly endsAt: Date | null;
  /** The most that usage costs in one period, a decimal of the main unit. */
  readonly spendCap: string | null;
  /** The billing period that is running; null before billing starts and after the end. */
  readonly period: { readonly index: number; readonly start: Date; readonly end: Date } | null;
}

/** A price of one organization's own, instead of its plan's. */
export interface OwnPrice {
  readonly id: string;
  readonly metric: string | null;
  readonly effectiveFrom: Date;
  readonly effectiveTo: Date | null;
  readonly basePrice: string | null;
  readonly terms: z.output<typeof metricTermsSchema> | null;
  readonly reason: string | null;
  readonly createdAt: Date;
}
