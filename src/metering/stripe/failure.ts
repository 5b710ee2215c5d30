import { TenantryError } from '../../errors.ts';

/** What an error of the `stripe` package means for the request that met it. */
export interface Failure {
  /**
   * `retry`: nothing is known, the same key may be sent again. `unknown`: the key's answer is saved and bad, but something
   * may have been made. `duplicate`: Stripe has it already. `refused`: nothing was made, and nothing will be.
   */
  readonly kind: 'retry' | 'unknown' | 'duplicate' | 'refused';
  readonly retryAfterMs?: number;
}

interface StripeErrorLike {
  readonly type: string;
  readonly rawType?: string;
  readonly code?: string;
  readonly param?: string;
  readonly message: string;
  readonly requestId?: string;
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export function failureOf(error: unknown): Failure {
  if (!isStripeError(error)) throw error;
  const { statusCode, headers = {} } = error;
  const after = Number(headers['retry-after']);
  const retryAfterMs = Number.isFinite(after) && after > 0 ? { retryAfterMs: Math.min(after, 60) * 1000 } : {};
  if (error.type === 'StripeConnectionError' || statusCode === undefined) return { kind: 'retry' };
  // The same key with other parameters: an earlier version of us, or other settings, sent it.
  if (error.rawType === 'idempotency_error' && statusCode !== 409) return { kind: 'unknown' };
  if (statusCode === 409 || statusCode === 429) return { kind: 'retry', ...retryAfterMs };
  if (statusCode >= 500) return { kind: 'unknown', ...retryAfterMs };
  if (error.code === 'duplicate_meter_event' || /event already exists with identifier/i.test(error.message)) {
    return { kind: 'duplicate' };
  }
  return { kind: 'refused' };
}

/** Stripe said no. Its message may repeat what was sent: keys are taken out. */
export function refusal(error: unknown, what: string): TenantryError {
  const { code, param, requestId, statusCode, message } = error as StripeErrorLike;
  const text = message.replace(/\b(?:sk|rk|pk|whsec)_\w+/g, '…');
  return new TenantryError('TNT_STRIPE_REFUSED', `Stripe refused ${what}: ${text}`, {
    details: { code, param, requestId, statusCode },
  });
}

export function unavailable(error: unknown, what: string): TenantryError {
  const { type, statusCode, requestId } = error as StripeErrorLike;
  return new TenantryError('TNT_STRIPE_UNAVAILABLE', `Stripe gave no answer to ${what} that can be relied on.`, {
    details: { type, statusCode, requestId },
  });
}

function isStripeError(error: unknown): error is StripeErrorLike {
  return error instanceof Error && 'type' in error && typeof error.type === 'string' && error.type.startsWith('Stripe');
}
