import { z } from 'zod';

/** What a metric is called: `api_calls`, `tokens.input`. */
export const metricName = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,62}$/, 'must be lower case: a–z, 0–9, _ . -, beginning with a letter, at most 63');

/** Exact: a number that JavaScript holds exactly, or a decimal as text. */
export const quantitySchema = z.union([
  z.number().gt(-1e15, 'must lie between -1e15 and 1e15').lt(1e15, 'must lie between -1e15 and 1e15'),
  z
    .string()
    .regex(/^-?\d{1,15}(\.\d{1,12})?$/, 'must be a decimal number of at most 15 digits before the point and 12 behind'),
]);

const withoutControls = /^\P{Cc}+$/u;
const eventId = z.string().min(1).max(255).regex(withoutControls, 'must not contain control characters');

export const usageEvent = z.strictObject({
  /** Names what happened, not the message about it: the same in every retry. Unique in the organization. */
  id: eventId,
  metric: metricName,
  /** Defaults to 1. Negative: taken off again. */
  quantity: quantitySchema.optional(),
  /** Defaults to the context's namespace. */
  namespaceId: z.guid().optional(),
  /** Defaults to the context's API key. */
  apiKeyId: z.guid().optional(),
  /** Whom a metric of the aggregation `unique` counts. Defaults to the context's end user. */
  subject: z.string().min(1).max(255).regex(withoutControls, 'must not contain control characters').optional(),
  /** When it happened; at most an hour ahead. Defaults to now. */
  occurredAt: z.date().optional(),
});

export const usageAmendment = z.strictObject({
  /** Id of the correction: the same in every retry. */
  id: eventId,
  /** The event that was wrong. */
  eventId,
  /** What its quantity should have been. */
  quantity: quantitySchema,
  reason: z.string().min(1).max(1000),
});

export const usageRetraction = usageAmendment.omit({ quantity: true });

export const usagePeriod = z.enum(['day', 'month']);
export const aggregations = ['sum', 'count', 'max', 'last', 'unique'] as const;

export const statisticsQuery = z.strictObject({
  metric: metricName,
  period: usagePeriod.default('month'),
  /** Any instant of the period. Defaults to now. */
  at: z.date().optional(),
  /** Only this namespace; its value is compared with no limit. */
  namespaceId: z.guid().optional(),
  /** How many namespaces are listed. */
  top: z.int().min(0).max(100).default(10),
});

export const alertLevels = z.array(z.number().gt(0).max(100_000)).max(20);

export const exportQuery = z.strictObject({
  metric: metricName.optional(),
  from: z.date(),
  to: z.date(),
  namespaceId: z.guid().optional(),
  format: z.enum(['jsonl', 'csv']).default('jsonl'),
});

export type UsageEvent = z.input<typeof usageEvent>;
export type UsageAmendment = z.input<typeof usageAmendment>;
export type UsageRetraction = z.input<typeof usageRetraction>;
export type UsagePeriod = z.infer<typeof usagePeriod>;
export type Aggregation = (typeof aggregations)[number];
export type StatisticsQuery = z.input<typeof statisticsQuery>;
export type UsageExportQuery = z.input<typeof exportQuery>;

/** `counted` now, or a `duplicate` of what was counted before. */
export type UsageOutcome = 'counted' | 'duplicate';
