import { randomUUID } from 'node:crypto';
import type { Audit } from '../../audit/index.ts';
import { callerMay } from '../../audit/queries/entries.ts';
import { currentTenant, withTenant } from '../../context/index.ts';
import type { Kernel } from '../../database/kernel.ts';
import { inserted, orForbidden } from '../../directory/forbidden.ts';
import { parseInput } from '../../directory/input.ts';
import { decodeCursor, decodeTimeCursor, encodeCursor, type Page, pageOf } from '../../directory/page.ts';
import { isId } from '../../directory/schema.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import type { AttemptResult } from '../dispatcher.ts';
import {
  deleteEndpoint,
  insertEndpoint,
  listAttempts,
  listDeliveries,
  listEndpoints,
  replayEvents,
  rotateEndpointSecret,
  selectEndpoint,
  selectSecrets,
  selectTarget,
  updateEndpoint,
} from '../queries/endpoints.ts';
import {
  type DeliveryListOptions,
  deliveryList,
  type EndpointCreate,
  type EndpointUpdate,
  endpointCreate,
  endpointList,
  endpointUpdate,
  type Replay,
  replaySchema,
  type SecretRotate,
  secretRotate,
  type WebhookAttempt,
  type WebhookDelivery,
  type WebhookEndpoint,
} from '../schema.ts';
import { webhookUrl } from './address.ts';
import { type WebhookSecrets, sendSigned, type WebhookOptions } from './deliverer.ts';
import { checkedSecret, messageBody, newSecret } from './sign.ts';

export interface Webhooks {
  /**
   * Takes webhooks.write. The secret is in the answer and shown never again.
   *
   * @throws TNT_INPUT_INVALID, TNT_WEBHOOK_URL_REFUSED, TNT_FORBIDDEN
   * @example
   * ```ts
   * const { endpoint, secret } = await t.webhooks.create({ url: 'https://example.com/hooks', topics: ['invoice.*'] });
   * ```
   */
  create(input: EndpointCreate): Promise<{ endpoint: WebhookEndpoint; secret: string }>;
  get(id: string): Promise<WebhookEndpoint | null>;
  /** By age. Takes webhooks.read. */
  list(options?: { readonly limit?: number; readonly cursor?: string }): Promise<Page<WebhookEndpoint>>;
  /** @throws TNT_INPUT_INVALID, TNT_WEBHOOK_URL_REFUSED, TNT_FORBIDDEN */
  update(id: string, input: EndpointUpdate): Promise<WebhookEndpoint | null>;
  /** With its log and its secrets. @throws TNT_FORBIDDEN */
  delete(id: string): Promise<WebhookEndpoint | null>;
  /** A new secret; the old one signs beside it for the overlap. @throws TNT_INPUT_INVALID, TNT_FORBIDDEN */
  rotateSecret(id: string, options?: SecretRotate): Promise<{ endpoint: WebhookEndpoint; secret: string } | null>;
  /** Sends a signed `webhook.test` now, past the queue, and says what came back. Takes webhooks.write. */
  test(id: string): Promise<AttemptResult | null>;
  /**
   * Sends again: one event (out of its order), or in order everything since an instant or since the beginning.
   *
   * @returns how many events will be sent; null when there is no such endpoint
   * @throws TNT_INPUT_INVALID, TNT_FORBIDDEN
   */
  replay(id: string, which: Replay): Promise<number | null>;
  /** Sends what was given up again, each out of its order. @returns how many */
  replayDead(id?: string): Promise<number>;
  /** Newest first: what became of each event. `{ state: 'dead' }` are the dead letters. Takes webhooks.read. */
  deliveries(options?: DeliveryListOptions): Promise<Page<WebhookDelivery>>;
  /** The attempts of a delivery, oldest first. */
  attempts(deliveryId: string): Promise<WebhookAttempt[]>;
}

export function createWebhooks(
  kernel: Kernel,
  secrets: WebhookSecrets,
  audit: Pick<Audit, 'record'>,
  options: WebhookOptions = {},
): Webhooks {
  const tenant = (): string => currentTenant().tenantId;
  const assertMay = async (permission: 'webhooks.read' | 'webhooks.write'): Promise<void> => {
    if (await callerMay(kernel, permission)) return;
    throw new TenantryError('TNT_FORBIDDEN', `This context lacks the permission ${permission}.`, {
      details: { permission },
    });
  };
  /** The name says nothing about the endpoint, so that nothing about it is found by guessing. */
  const keep = (secret: string): Promise<string> => secrets.put(`signing ${randomUUID()}`, secret);
  const record = (on: Kernel, action: string, { id }: WebhookEndpoint, details: Record<string, unknown>) =>
    audit.record({ action: `webhook.${action}`, resourceId: id, details }, on);

  async function replayDead(id: string | undefined): Promise<number> {
    await assertMay('webhooks.write');
    let count = 0;
    for (;;) {
      const rows = await listDeliveries(kernel, tenant(), { endpointId: id, state: 'dead' }, undefined, 200);
      for (const { delivery } of rows)
        count += await replayEvents(kernel, delivery.endpointId, { eventId: delivery.eventId });
      if (rows.length < 200) return count;
    }
  }

  return {
    async create(input) {
      const { url, topics, description, secret: given } = parseInput(endpointCreate, input);
      webhookUrl(url, options);
      await assertMay('webhooks.write');
      const secret = given === undefined ? newSecret() : checkedSecret(given);
      const secretId = await keep(secret);
      try {
        const endpoint = await write('webhook endpoint', 'create', () =>
          kernel.transaction(async (tx) => {
            const made = inserted(
              await insertEndpoint(tx, tenant(), { url, topics, description, secretId }),
              'webhook endpoint',
            );
            await record(tx, 'created', made, { url: new URL(url).origin, topics });
            return made;
          }),
        );
        return { endpoint, secret };
      } catch (error) {
        await secrets.delete(secretId);
        throw error;
      }
    },
    async get(id) {
      return isId(id) ? selectEndpoint(kernel, tenant(), id) : null;
    },
    async list(input = {}) {
      const { limit, cursor } = parseInput(endpointList, input);
      const after = cursor === undefined ? undefined : decodeCursor('webhooks', cursor).id;
      const rows = await listEndpoints(kernel, tenant(), after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('webhooks', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(endpointUpdate, input);
      if (values.url !== undefined) webhookUrl(values.url, options);
      if (!isId(id)) return null;
      const enabled = values.status === 'enabled' ? { disabledReason: null, failingSince: null } : {};
      return write('webhook endpoint', 'update', () =>
        kernel.transaction(async (tx) => {
          const changed = await orForbidden(
            await updateEndpoint(tx, tenant(), id, { ...values, ...enabled }),
            () => selectEndpoint(tx, tenant(), id),
            'webhook endpoint',
            'update',
          );
          if (changed !== null) await record(tx, 'updated', changed, { fields: Object.keys(values) });
          return changed;
        }),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      const deleted = await write('webhook endpoint', 'delete', () =>
        kernel.transaction(async (tx) => {
          const gone = await orForbidden(
            await deleteEndpoint(tx, tenant(), id),
            () => selectEndpoint(tx, tenant(), id),
            'webhook endpoint',
            'delete',
          );
          if (gone !== null) await record(tx, 'deleted', gone, {});
          return gone;
        }),
      );
      if (deleted === null) return null;
      const { secretId, oldSecretId, ...endpoint } = deleted as WebhookEndpoint & {
        secretId: string;
        oldSecretId: string | null;
      };
      await secrets.delete(secretId);
      if (oldSecretId !== null) await secrets.delete(oldSecretId);
      return endpoint;
    },
    async rotateSecret(id, input = {}) {
      const { overlapHours, secret: given } = parseInput(secretRotate, input);
      if (!isId(id)) return null;
      await assertMay('webhooks.write');
      const secret = given === undefined ? newSecret() : checkedSecret(given);
      const secretId = await keep(secret);
      try {
        const rotated = await write('webhook endpoint', 'update', () =>
          kernel.transaction(async (tx) => {
            const before = await selectSecrets(tx, tenant(), id);
            const endpoint = await rotateEndpointSecret(tx, tenant(), id, secretId, overlapHours * 3_600_000);
            if (endpoint !== null) await record(tx, 'secret_rotated', endpoint, { overlapHours });
            return endpoint === null ? null : { endpoint, expired: before?.oldSecretId ?? null };
          }),
        );
        if (rotated === null) {
          await secrets.delete(secretId);
          return null;
        }
        if (rotated.expired !== null) await secrets.delete(rotated.expired);
        return { endpoint: rotated.endpoint, secret };
      } catch (error) {
        await secrets.delete(secretId);
        throw error;
      }
    },
    async test(id) {
      if (!isId(id)) return null;
      await assertMay('webhooks.write');
      const tenantId = tenant();
      return withTenant({ tenantId }, async () => {
        const target = await selectTarget(kernel, tenantId, id);
        if (target === null) return null;
        const ids = [target.secretId, ...(target.oldSecretId === null ? [] : [target.oldSecretId])];
        const keys = await Promise.all(ids.map((one) => secrets.reveal(one)));
        const body = messageBody({ topic: 'webhook.test', occurredAt: new Date(), payload: { endpointId: id } });
        return sendSigned(target.url, `test_${randomUUID()}`, body, keys, new AbortController().signal, options);
      });
    },
    async replay(id, which) {
      const chosen = parseInput(replaySchema, which);
      if (!isId(id)) return null;
      await assertMay('webhooks.write');
      return write('webhook endpoint', 'update', () =>
        kernel.transaction(async (tx) => {
          const endpoint = await selectEndpoint(tx, tenant(), id);
          if (endpoint === null) return null;
          const count = await replayEvents(tx, id, 'all' in chosen ? {} : chosen);
          await record(tx, 'replayed', endpoint, { count });
          return count;
        }),
      );
    },
    replayDead: (id) => replayDead(id),
    async deliveries(input = {}) {
      const { limit, cursor, ...filter } = parseInput(deliveryList, input);
      const after = cursor === undefined ? undefined : decodeTimeCursor('deliveries', cursor);
      const rows = await listDeliveries(kernel, tenant(), filter, after, limit + 1);
      const page = pageOf(rows, limit, (last) => encodeCursor('deliveries', last.position, last.delivery.id));
      return { ...page, items: page.items.map(({ delivery }) => delivery) };
    },
    async attempts(deliveryId) {
      return isId(deliveryId) ? listAttempts(kernel, tenant(), deliveryId) : [];
    },
  };
}
