import type { z } from 'zod';
import { TenantryError } from '../errors.ts';

/**
 * Validates what a caller handed in.
 *
 * @throws TNT_INPUT_INVALID naming the field; the value itself is never repeated
 */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) {
    const path = zeroBytePath(result.data, []);
    if (path === undefined) return result.data;
    const field = fieldOf(path);
    const problem = 'contains a zero byte, which PostgreSQL has no room for';
    throw new TenantryError('TNT_INPUT_INVALID', `${field}: ${problem}.`, {
      details: { problems: [{ field, problem }] },
    });
  }
  const problems = result.error.issues.map(({ path, message, code }) => {
    const keys = code === 'unrecognized_keys' ? 'has an unknown field' : message;
    return { field: fieldOf(path), problem: keys };
  });
  const [first] = problems.map(({ field, problem }) => `${field}: ${problem}.`);
  throw new TenantryError('TNT_INPUT_INVALID', String(first), { details: { problems } });
}

const fieldOf = (path: readonly PropertyKey[]): string => (path.length === 0 ? 'input' : path.map(String).join('.'));

/** Whether a text can be stored or looked up at all. */
export const isText = (value: string): boolean => !value.includes('\0');

function zeroBytePath(value: unknown, path: string[]): string[] | undefined {
  if (typeof value === 'string') return isText(value) ? undefined : path;
  if (typeof value !== 'object' || value === null || value instanceof Date) return undefined;
  for (const [key, child] of Object.entries(value)) {
    const found = isText(key) ? zeroBytePath(child, [...path, key]) : path;
    if (found !== undefined) return found;
  }
  return undefined;
}
