import { z } from 'zod';

const wholeDigits = (digits: number) => new RegExp(`^\\d{1,${digits}}(\\.\\d{1,12})?$`);
const notDecimal = 'is a decimal written as text, such as "12.50": zero or more, at most 12 digits after the point';

/** A price in the currency's main unit, as text: a binary fraction cannot hold 0.1. */
export const priceSchema = z.string().regex(wholeDigits(12), notDecimal);
/** A number of units: text, or a whole number. */
export const quantitySchema = z
  .union([z.int().min(0), z.string()])
  .transform(String)
  .refine((text) => wholeDigits(15).test(text), notDecimal);
export const currencySchema = z.string().regex(/^[A-Z]{3}$/, 'is a code of ISO 4217 such as USD');
export const planKeySchema = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'takes a–z, 0–9, _ and -, begins with a letter, at most 63 characters');
export const metricSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,62}$/, 'takes a–z, 0–9, _, - and ., begins with a letter, at most 63 characters');

export const tierSchema = z.strictObject({
  /** The last unit of the tier, counted from the first one above what is included; null: no end. */
  upTo: quantitySchema.nullable(),
  unit: priceSchema,
  flat: priceSchema.optional(),
});

export const metricTermsSchema = z
  .strictObject({
    period: z.enum(['day', 'month']).default('month'),
    /** Free of charge per period; null: unlimited. */
    included: quantitySchema.nullable(),
    /** Whether more is refused. */
    hard: z.boolean().default(false),
    model: z.enum(['graduated', 'volume', 'package']).nullable().default(null),
    tiers: z.array(tierSchema).min(1).max(100).nullable().default(null),
    packageSize: quantitySchema.nullable().default(null),
    /** The most it costs in one period, in the main unit. */
    cap: priceSchema.nullable().default(null),
  })
  .superRefine((terms, context) => {
    const problem = problemOf(terms);
    if (problem !== undefined) context.addIssue({ code: 'custom', path: [problem[0]], message: problem[1] });
  });
export type MetricTermsInput = z.input<typeof metricTermsSchema>;

interface TermsLike {
  readonly period: string;
  readonly included: string | null;
  readonly hard: boolean;
  readonly model: string | null;
  readonly tiers: readonly { readonly upTo: string | null }[] | null;
  readonly packageSize: string | null;
  readonly cap: string | null;
}

/** The first rule that does not hold, as field and problem. The database holds the same rules. */
function problemOf({
  period,
  included,
  hard,
  model,
  tiers,
  packageSize,
  cap,
}: TermsLike): [string, string] | undefined {
  if (model === null) {
    if (tiers !== null || packageSize !== null || cap !== null)
      return ['model', 'is needed with tiers, packageSize or cap'];
    return undefined;
  }
  if (period !== 'month') return ['period', 'is month where the metric has a price'];
  if (hard) return ['hard', 'is false where more has a price'];
  if (included === null) return ['included', 'is a number where more has a price'];
  if (tiers === null) return ['tiers', 'is needed with a model'];
  if ((model === 'package') !== (packageSize !== null))
    return ['packageSize', 'goes with the model package, and only with it'];
  if (packageSize !== null && Number(packageSize) === 0) return ['packageSize', 'is more than zero'];
  if (model === 'package' && tiers.length !== 1) return ['tiers', 'is one tier with the model package'];
  const bounds = tiers.map(({ upTo }) => upTo);
  if (bounds.at(-1) !== null || bounds.slice(0, -1).includes(null)) return ['tiers', 'ends in one tier with upTo null'];
  const numbers = bounds.slice(0, -1).map(Number);
  if (numbers.some((bound, i) => bound <= (numbers[i - 1] ?? 0))) return ['tiers', 'rises from tier to tier'];
  return undefined;
}

export const rateLimitSchema = z.strictObject({
  limit: z.int().min(1).max(1_000_000_000),
  periodMs: z
    .int()
    .min(1)
    .max(31 * 24 * 3_600_000),
  burst: z.int().min(1).max(1_000_000_000).optional(),
});

export const planDefine = z.strictObject({
  key: planKeySchema,
  tier: planKeySchema,
  name: z.string().trim().min(1).max(255),
  description: z.string().max(10_000).nullable().default(null),
  currency: currencySchema,
  basePrice: priceSchema.default('0'),
  /** When the base fee is due: at the end of its period or at its start. */
  baseTiming: z.enum(['arrears', 'advance']).default('arrears'),
  rateLimits: z.record(metricSchema, rateLimitSchema).default({}),
  metrics: z.record(metricSchema, metricTermsSchema).default({}),
});
export type PlanDefine = z.input<typeof planDefine>;

export const planPublish = planDefine.extend({
  family: planKeySchema.default('default'),
  trialDays: z.int().min(0).max(730).default(0),
  /** Whether organizations may choose it themselves. */
  offered: z.boolean().default(true),
});
export type PlanPublish = z.input<typeof planPublish>;

export const planVersionSchema = z.int().min(1);

export interface Plan {
  readonly key: string;
  readonly version: number;
  /** Null: the organization's own. */
  readonly family: string | null;
  readonly tier: string;
  readonly name: string;
  readonly description: string | null;
  readonly currency: string;
  /** Per period, a decimal of the main unit. */
  readonly basePrice: string;
  readonly baseTiming: 'arrears' | 'advance';
  readonly trialDays: number;
  readonly rateLimits: Readonly<Record<string, z.infer<typeof rateLimitSchema>>>;
  readonly metrics: Readonly<Record<string, z.output<typeof metricTermsSchema>>>;
  /** Whether an organization may choose it itself: offered to all, or its own and approved. */
  readonly available: boolean;
  readonly createdAt: Date;
}
