import type { ContextScope } from '../context/scope.ts';
import { TenantryError } from '../errors.ts';
import { callSiteOf, captureCallSite } from './call-site.ts';
import { needsNoContext } from './decide.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { PoolSettings } from './settings.ts';
import { sessionRefused } from './refusals.ts';
import type { TextEntry } from './texts.ts';

/**
 * Refuses before anything is sent: a statement outside of any context (or counts it, where the pool was told to), and
 * behind a transaction pooler one that would stay on a connection which somebody else gets next.
 *
 * @returns the refusal, or undefined when the statement may go
 */
export function refusal(
  settings: PoolSettings,
  entry: TextEntry,
  scope: ContextScope | undefined,
): TenantryError | undefined {
  if (!settings.prepares && outlivesTransaction(entry)) return sessionRefused(entry.leftover);
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

/** Other settings (an encoding, a time zone) are the pooler's business; the context and the role are not. */
const contextOrRole = /\bapp\.|\brole\b|\bauthorization\b/i;
/** Its name comes with the values: it may be any. */
const setsUnknown = /set_config\s*\(\s*(?!['\s])/i;

function outlivesTransaction({ leftover, text }: TextEntry): boolean {
  return leftover !== undefined && (leftover !== 'setting' || contextOrRole.test(text) || setsUnknown.test(text));
}
