import { setTimeout as sleep } from 'node:timers/promises';
import type { Kernel } from '../../database/kernel.ts';
import { failureOf, refusal, unavailable } from './failure.ts';
import { beginStep, finishStep, nextAttempt } from './queries.ts';

/** What every request to Stripe carries. */
export interface RequestSettings {
  readonly idempotencyKey: string;
  readonly maxNetworkRetries: 0;
  readonly timeout: number;
}

export interface Retries {
  /** How often one request is tried. */
  readonly attempts: number;
  /** Milliseconds before the second try; twice as long before each further one. */
  readonly delayMs: number;
  /** Milliseconds that one try may take. */
  readonly timeoutMs: number;
}

/** Stripe keeps the answer to a key for at least 24 hours: after this long nobody may rely on it. */
const keyLifetimeMs = 23 * 3_600_000;

export interface Step {
  readonly tenantId: string;
  /** The invoice or organization that the request is about. */
  readonly subjectId: string;
  readonly name: string;
  /** Makes it. */
  send(settings: RequestSettings): Promise<{ readonly id: string }>;
  /** Looks for what an earlier attempt may have made. */
  find(since: Date): Promise<string | undefined>;
}

/**
 * Makes something at Stripe once, whatever happens on the way: the request is written down before it is sent, a retry
 * sends the same key, and another key is taken only after looking that the last attempt made nothing.
 *
 * @returns the id of what was made
 * @throws TNT_STRIPE_REFUSED, TNT_STRIPE_UNAVAILABLE
 */
export async function once(kernel: Kernel, step: Step, retries: Retries): Promise<string> {
  const { tenantId, subjectId, name } = step;
  const done = async (id: string): Promise<string> => {
    await finishStep(kernel, tenantId, subjectId, name, id);
    return id;
  };
  let mustLook = false;
  let failures = 0;
  for (let tries = 1; ; tries += 1) {
    const state = await beginStep(kernel, tenantId, subjectId, name);
    if (state.stripeId !== null) return state.stripeId;
    try {
      if (mustLook || (!state.fresh && Date.now() - state.attemptedAt.getTime() > keyLifetimeMs)) {
        const found = await step.find(state.attemptedAt);
        if (found !== undefined) return await done(found);
        await nextAttempt(kernel, tenantId, subjectId, name, state.attempt);
        [mustLook, failures] = [false, 0];
        continue;
      }
      const key = `tenantry-${subjectId}-${name}-${state.attempt}`;
      const { id } = await step.send({ idempotencyKey: key, maxNetworkRetries: 0, timeout: retries.timeoutMs });
      return await done(id);
    } catch (error) {
      const { kind, retryAfterMs } = failureOf(error);
      if (kind === 'refused' || kind === 'duplicate') throw refusal(error, name);
      if (tries >= retries.attempts) throw unavailable(error, name);
      // The answer to a key is saved, and a bad one too: sent twice to no avail, the key is spent.
      failures = kind === 'unknown' ? failures + 1 : 0;
      mustLook ||= failures >= 2;
      await sleep(retryAfterMs ?? waitMs(retries, tries));
    }
  }
}

/** Reads at Stripe, as often as it takes. @throws TNT_STRIPE_REFUSED, TNT_STRIPE_UNAVAILABLE */
export async function reading<T>(what: string, retries: Retries, fn: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fn();
    } catch (error) {
      const { kind, retryAfterMs } = failureOf(error);
      if (kind === 'refused' || kind === 'duplicate') throw refusal(error, what);
      if (tries >= retries.attempts) throw unavailable(error, what);
      await sleep(retryAfterMs ?? waitMs(retries, tries));
    }
  }
}

/** What every request that only reads carries. */
export const lookSettings = ({ timeoutMs }: Retries): { maxNetworkRetries: 0; timeout: number } => ({
  maxNetworkRetries: 0,
  timeout: timeoutMs,
});

/** Twice as long each time, spread so that many who failed at once do not come back at once. */
export const waitMs = ({ delayMs }: Retries, tries: number): number =>
  delayMs * 2 ** Math.min(tries - 1, 6) * (0.5 + Math.random() / 2);
