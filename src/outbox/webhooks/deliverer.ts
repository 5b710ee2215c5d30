import { currentTenant } from '../../context/index.ts';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import type { AttemptResult, Deliverer } from '../dispatcher.ts';
import { disableEndpoint, selectTarget } from '../queries/endpoints.ts';
import { post, type SendOptions } from './send.ts';
import { messageBody, signMessage } from './sign.ts';

/** Where signing secrets are kept: the vault, for webhooks. */
export interface WebhookSecrets {
  put(name: string, value: string): Promise<string>;
  reveal(id: string): Promise<string>;
  delete(id: string): Promise<void>;
}

export interface WebhookOptions extends SendOptions {
  /** An endpoint that fails for this long is disabled, and `webhook.disabled` emitted. Hours, default 120. */
  readonly disableAfterHours?: number;
}

const gone = 410;

/** What the dispatcher sends with: inside the tenant, and as nobody, because people never see a signing secret again. */
export function createDeliverer(kernel: Kernel, secrets: WebhookSecrets, options: WebhookOptions = {}): Deliverer {
  const { disableAfterHours = 120 } = options;
  return {
    async deliver(endpointId, event, signal) {
      const target = await selectTarget(kernel, currentTenant().tenantId, endpointId);
      if (target === null) return { delivered: false, error: 'the endpoint is gone' };
      const ids = [target.secretId, ...(target.oldSecretId === null ? [] : [target.oldSecretId])];
      const keys = await Promise.all(ids.map((id) => secrets.reveal(id)));
      return sendSigned(target.url, event.id, messageBody(event), keys, signal, options);
    },
    async failed(endpointId, result) {
      if (result.status === gone) {
        await disableEndpoint(kernel, endpointId, 'the receiver answered 410 Gone');
        return;
      }
      const since = (await selectTarget(kernel, currentTenant().tenantId, endpointId))?.failingSince ?? null;
      if (since !== null && Date.now() - since.getTime() >= disableAfterHours * 3_600_000) {
        await disableEndpoint(kernel, endpointId, `no delivery succeeded for ${disableAfterHours} hours`);
      }
    },
  };
}

/** One attempt; what the network or the receiver says is a result, not an error. */
export async function sendSigned(
  url: string,
  id: string,
  body: string,
  secrets: readonly string[],
  signal: AbortSignal,
  options: SendOptions,
): Promise<AttemptResult> {
  const { headers } = await signMessage(id, body, secrets);
  try {
    const { status, body: response, retryAfterMs } = await post(url, headers, body, signal, options);
    const delivered = status >= 200 && status < 300;
    return {
      delivered,
      status,
      response,
      ...(delivered ? {} : { error: refusalOf(status) }),
      ...(retryAfterMs === undefined || (status !== 429 && status !== 503) ? {} : { retryAfterMs }),
    };
  } catch (error) {
    return { delivered: false, error: problemOf(error) };
  }
}

const refusalOf = (status: number): string =>
  status >= 300 && status < 400 ? `HTTP ${status}: redirects are not followed` : `HTTP ${status}`;

/** Codes rather than messages where there are some: a message of TLS or of the system may repeat what was sent. */
function problemOf(error: unknown): string {
  if (error instanceof TenantryError) return error.message;
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code === 'string') return `no connection: ${code}`;
  return error instanceof Error ? error.message : 'no connection';
}
