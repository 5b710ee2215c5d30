import { randomBytes } from 'node:crypto';
import { TenantryError } from '../../errors.ts';

const prefix = 'whsec_';

/** A new signing secret: `whsec_` and 32 random bytes in base64. */
export const newSecret = (): string => `${prefix}${randomBytes(32).toString('base64')}`;

/** @throws TNT_INPUT_INVALID unless it is `whsec_` and 24 to 64 bytes in base64; the secret is not repeated */
export function checkedSecret(secret: string): string {
  const encoded = secret.startsWith(prefix) ? secret.slice(prefix.length) : '';
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length < 24 || bytes.length > 64 || bytes.toString('base64') !== encoded) {
    throw new TenantryError('TNT_INPUT_INVALID', 'secret: must be whsec_ and 24 to 64 bytes in base64.');
  }
  return secret;
}

export interface SignedMessage {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Signs by Standard Webhooks: one signature per secret, so that receivers with the old one and the new one both verify. */
export async function signMessage(
  id: string,
  body: string,
  secrets: readonly string[],
  at = new Date(),
): Promise<SignedMessage> {
  const { Webhook } = await import('standardwebhooks');
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Tenantry-Webhooks/1',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
    },
  };
}

/** What a receiver parses: the payload of Standard Webhooks. The same for each attempt. */
export const messageBody = (event: { topic: string; occurredAt: Date; payload: object }): string =>
  JSON.stringify({ type: event.topic, timestamp: event.occurredAt.toISOString(), data: event.payload });
