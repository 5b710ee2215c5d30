import { TenantryError } from '../errors.ts';

/**
 * An update or delete that a policy stops touches no row. Tells "there is none" (null) from "you may see it, not change
 * it"; the second look costs nothing in the usual case.
 *
 * @throws TNT_FORBIDDEN
 */
export async function orForbidden<T>(
  changed: T | null,
  look: () => Promise<unknown>,
  what: string,
  operation: 'update' | 'delete',
): Promise<T | null> {
  if (changed !== null) return changed;
  if ((await look()) === null) return null;
  throw new TenantryError('TNT_FORBIDDEN', `This context may see the ${what}, but not ${operation} it.`);
}

/** The row that an INSERT … RETURNING gave; none means that a rule swallowed it. */
export function inserted<T>(row: T | null | undefined, what: string): T {
  if (row === null || row === undefined) throw new TenantryError('TNT_INTERNAL', `The ${what} was not stored.`);
  return row;
}
