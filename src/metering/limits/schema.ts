import { z } from 'zod';
import { metricName, quantitySchema, usagePeriod } from '../usage/schema.ts';

const id = z.guid();
const quantity = quantitySchema.refine((value) => Number(value) > 0, 'must be more than 0');

/** What is asked for, and for whom; namespace, key and end user default to the context's. */
const subject = {
  metric: metricName,
  /** Defaults to 1; exact, as a number or a decimal in a text. */
  quantity: quantity.default(1),
  namespaceId: id.optional(),
  apiKeyId: id.optional(),
  endUserId: id.optional(),
};

const ttlMs = z
  .number()
  .min(1_000)
  .max(7 * 86_400_000);

export const limitCheck = z.strictObject(subject);
export const limitReserve = z.strictObject({
  ...subject,
  /** How long the place is held unless extended, in milliseconds. Defaults to 15 minutes. */
  ttlMs: ttlMs.default(900_000),
});
export const limitConsume = z.strictObject({
  ...subject,
  /** Names what happened, the same in every retry: it is counted once. Unique in the organization. */
  eventId: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[^\p{Cc}]+$/u, 'must not contain control characters'),
});
export const limitSet = z.strictObject({
  metric: metricName,
  period: usagePeriod.default('month'),
  /** Null: unlimited. */
  limit: z.number().nonnegative().max(1e15).nullable(),
  /** Refuse beyond it (default), or only count the overage. */
  hard: z.boolean().default(true),
  /** Of an end user; else of the organization. */
  endUserId: id.optional(),
});
export const limitKey = limitSet.pick({ metric: true, period: true, endUserId: true });

export type LimitCheck = z.input<typeof limitCheck>;
export type LimitReserve = z.input<typeof limitReserve>;
export type LimitConsume = z.input<typeof limitConsume>;
export type LimitSet = z.input<typeof limitSet>;
export type LimitKey = z.input<typeof limitKey>;

/** One limit that a request meets, and how it stands. */
export interface LimitState {
  readonly scope: 'organization' | 'namespace' | 'api_key' | 'end_user';
  readonly id: string;
  /** Whose word it is: the organization's plan, or the scope's own. */
  readonly source: 'plan' | LimitState['scope'];
  readonly period: 'day' | 'month';
  /** Null: unlimited. */
  readonly limit: number | null;
  /** Refuses beyond it; else the overage is counted and billed. */
  readonly hard: boolean;
  readonly used: number;
  /** Held by reservations under way. */
  readonly reserved: number;
  /** Null: unlimited. */
  readonly remaining: number | null;
  readonly periodStart: Date;
  readonly periodEnd: Date;
}

/** A limit of the organization's or an end user's own. */
export interface OwnLimit {
  readonly metric: string;
  readonly period: 'day' | 'month';
  readonly limit: number | null;
  readonly hard: boolean;
  readonly endUserId: string | null;
}
