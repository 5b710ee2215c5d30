import { z } from 'zod';
import { membershipsSchema } from './memberships.ts';
import { keyDecisionFields } from './key-decisions.ts';
import { rootSchema } from './root.ts';
import { rowDecisionFields } from './row-decisions.ts';

const tableSchema = z.strictObject({
  class: z.enum(['root', 'owned', 'join', 'shared', 'undecided']),
  via: z.array(z.string().min(1)).min(1).optional(),
  keys: z.array(z.string().min(1)).optional(),
  ...keyDecisionFields,
  ...rowDecisionFields,
});

const referenceSchema = z.strictObject({
  from: z.string().min(1),
  to: z.union([z.string().min(1), z.record(z.string(), z.string().min(1))], {
    message: 'must be a table with its column, public.orders(id), or one for each value of the discriminator',
  }),
});

/** The plan file, section by section; each section's decisions go into `PlanDecisions`. */
export const fileSchema = z
  .strictObject({
    version: z.literal(1),
    database: z.string().min(1).optional(),
    tenant: z.strictObject({ column: z.string().min(1).max(63) }).optional(),
    root: rootSchema.optional(),
    constant: z.strictObject({ name: z.string().trim().min(1).max(255) }).optional(),
    references: z.array(referenceSchema).optional(),
    memberships: membershipsSchema.optional(),
    // a file without tables is a beginning: every table is proposed
    tables: z.record(z.string(), tableSchema).default({}),
  })
  .refine((file) => (file.root === undefined) !== (file.constant === undefined), {
    message: 'needs either root or constant',
    path: ['root'],
  });

export type PlanFile = z.infer<typeof fileSchema>;
