import { currentContext } from '../context/index.ts';
import { TenantryError } from '../errors.ts';

/**
 * A text that is equal exactly for callers who may see the same: what a cache or a loader must keep its entries apart by.
 *
 * @throws TNT_CONTEXT_MISSING outside of any context
 */
export function contextKey(): string {
  const context = currentContext();
  if (context === undefined) {
    throw new TenantryError('TNT_CONTEXT_MISSING', 'There is no context here: nothing can be kept apart by tenant.');
  }
  return JSON.stringify(context, Object.keys(context).sort());
}
