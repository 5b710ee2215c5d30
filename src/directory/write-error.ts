import { sqlStateOf } from '../database/database-error.ts';
import { TenantryError } from '../errors.ts';

/** What the database refused in a write, as one of our errors; anything else is thrown on as it is. */
export function writeError(error: unknown, what: string, operation: 'create' | 'update' | 'delete'): unknown {
  if (error instanceof TenantryError) return error;
  const constraint = constraintOf(error);
  const details = constraint === undefined ? {} : { details: { constraint } };
  switch (sqlStateOf(error)) {
    case '23505':
      return constraint?.endsWith('_slug_key')
        ? new TenantryError('TNT_SLUG_TAKEN', `The slug is taken: another ${what} has it.`, details)
        : new TenantryError('TNT_CONFLICT', `The ${what} exists already.`, details);
    case '23503':
      return operation === 'delete'
        ? new TenantryError('TNT_CONFLICT', `The ${what} is still in use.`, {
            ...details,
            hint: 'Move or delete what refers to it first.',
          })
        : new TenantryError(
            'TNT_NOT_FOUND',
            `What the ${what} refers to does not exist in this organization.`,
            details,
          );
    case '23514':
      return constraint === 'org_members_last_admin'
        ? new TenantryError('TNT_LAST_ADMIN', 'The last administrator of an organization cannot go.')
        : new TenantryError(
            'TNT_INPUT_INVALID',
            `The ${what} breaks the rule ${constraint ?? 'of its table'}.`,
            details,
          );
    case '42501':
      return new TenantryError('TNT_FORBIDDEN', `This context may not ${operation} the ${what}.`, { cause: error });
    default:
      return error;
  }
}

/** Runs a write and turns what the database refuses into our error. */
export async function write<T>(
  what: string,
  operation: 'create' | 'update' | 'delete',
  fn: () => Promise<T>,
): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw writeError(error, what, operation);
  }
}

function constraintOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('constraint' in error)) return undefined;
  return typeof error.constraint === 'string' ? error.constraint : undefined;
}
