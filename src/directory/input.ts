import type { z } from 'zod';
import { TenantryError } from '../errors.ts';

/**
 * Validates what a caller handed in.
 *
 * @throws TNT_INPUT_INVALID naming the field; the value itself is never repeated
 */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message, code }) => {
    const keys = code === 'unrecognized_keys' ? 'has an unknown field' : message;
    return { field: path.join('.') || 'input', problem: keys };
  });
  const first = problems[0] ?? { field: 'input', problem: 'is not valid' };
  throw new TenantryError('TNT_INPUT_INVALID', `${first.field}: ${first.problem}.`, { details: { problems } });
}
