import type { ContextScope } from '../context/scope.ts';
import { TenantryError } from '../errors.ts';
import { callSiteOf, captureCallSite } from './call-site.ts';
import { needsNoContext } from './decide.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { PoolSettings } from './settings.ts';
import type { TextEntry } from './texts.ts';

/**
 * Refuses a statement outside of any context before anything is sent, or counts it where the pool was told to.
 *
 * @returns the refusal, or undefined when the statement may go
 */
export function refuseWithoutContext(
  settings: PoolSettings,
  entry: TextEntry,
  scope: ContextScope | undefined,
): TenantryError | undefined {
  if (scope !== undefined || needsNoContext(entry.kind)) return undefined;
  const fingerprint = fingerprintOf(entry);
  if (settings.missingContext === 'count') {
    const callSite = settings.onMissingContext === undefined ? undefined : callSiteOf(captureCallSite());
    settings.onMissingContext?.({ fingerprint, statement: entry.text, callSite });
    return undefined;
  }
  return new TenantryError('TNT_CONTEXT_MISSING', 'A query was asked for outside of any context; nothing was sent.', {
    details: { statement: fingerprint },
  });
}
