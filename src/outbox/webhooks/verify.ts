import { z } from 'zod';
import { TenantryError } from '../../errors.ts';

/** Where a receiver keeps the ids of what it has seen, for as long as a signature is valid. */
export interface SeenIds {
  /** False when the id is there already. Must be atomic: two requests with one id get one true. */
  add(id: string, forMs: number): boolean | Promise<boolean>;
  /** Takes an id back, when handling failed and a repetition is welcome. */
  remove(id: string): void | Promise<void>;
}

export interface VerifyWebhookOptions {
  /** The endpoint's `whsec_…`; two while one is being rotated. */
  readonly secret: string | readonly string[];
  /** Of the request: an object, or what has `get` as the Headers of fetch. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>> | { get(name: string): string | null };
  /** The bytes of the request, before any parser: the signature is over them. */
  readonly body: string | Uint8Array;
  /** How old or how far ahead a message may be. Seconds, 1 to 300; defaults to 300. */
  readonly toleranceSeconds?: number;
  /** Refuses what was seen before: see {@link memorySeenIds}. Absent: a message may be replayed within the tolerance. */
  readonly seen?: SeenIds;
}

export interface WebhookMessage {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly data: Record<string, unknown>;
}

const content = z.object({ type: z.string(), timestamp: z.string(), data: z.record(z.string(), z.unknown()) });

/**
 * For receivers: checks signature, age and repetition of a webhook, and parses it.
 *
 * @throws TNT_WEBHOOK_INVALID answer 401; TNT_WEBHOOK_REPLAYED it was handled before: answer 200 and do nothing
 * @example
 * ```ts
 * import { memorySeenIds, verifyWebhook } from 'tenantry';
 *
 * const seen = memorySeenIds();
 * const message = await verifyWebhook({ secret, headers: request.headers, body: rawBody, seen });
 * ```
 */
export async function verifyWebhook(options: VerifyWebhookOptions): Promise<WebhookMessage> {
  const { secret, headers, body, toleranceSeconds = 300, seen } = options;
  const get = (name: string): string => {
    const value = isHeaders(headers) ? headers.get(name) : byName(headers, name);
    if (typeof value === 'string' && value !== '') return value;
    throw new TenantryError('TNT_WEBHOOK_INVALID', `The request has no header ${name}.`);
  };
  const [id, at, signature] = [get('webhook-id'), get('webhook-timestamp'), get('webhook-signature')];
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('utf8');
  const { Webhook } = await import('standardwebhooks');
  const signed = { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature };
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (
    !/^\d{1,12}$/.test(at) ||
    !secrets.some((one) => verifies(() => new Webhook(one).verify(text, signed, { jsonParse: false })))
  ) {
    throw new TenantryError('TNT_WEBHOOK_INVALID', 'The signature does not fit body, id and time, or it is too old.');
  }
  if (Math.abs(Date.now() / 1000 - Number(at)) > toleranceSeconds) {
    throw new TenantryError('TNT_WEBHOOK_INVALID', `The message is more than ${toleranceSeconds} s away from now.`);
  }
  const parsed = content.safeParse(parseJson(text));
  if (!parsed.success) throw new TenantryError('TNT_WEBHOOK_INVALID', 'The body is no message of Standard Webhooks.');
  // twice the tolerance: a message from the near future stays valid that long
  if (seen !== undefined && !(await seen.add(id, 2 * toleranceSeconds * 1000))) {
    throw new TenantryError('TNT_WEBHOOK_REPLAYED', 'A message with this id has been handled.', { details: { id } });
  }
  return { id, ...parsed.data };
}

/** Names of headers have no case. */
function byName(headers: Readonly<Record<string, string | string[] | undefined>>, name: string): unknown {
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

function isHeaders(headers: VerifyWebhookOptions['headers']): headers is { get(name: string): string | null } {
  return typeof headers['get'] === 'function';
}

function verifies(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Ids in the memory of one process; several processes share a table or Redis (`SET id 1 NX PX`) instead. */
export function memorySeenIds({ max = 100_000 }: { readonly max?: number } = {}): SeenIds {
  const until = new Map<string, number>();
  return {
    add(id, forMs) {
      const now = Date.now();
      const known = until.get(id);
      if (known !== undefined && known > now) return false;
      until.delete(id); // to stand at the end again
      until.set(id, now + forMs);
      for (const [old, end] of until) {
        if (end > now && until.size <= max) break;
        until.delete(old);
      }
      return true;
    },
    remove(id) {
      until.delete(id);
    },
  };
}
