import type { Kernel } from '../../database/kernel.ts';
import { instantText } from '../../directory/queries/columns.ts';
import { first } from '../../directory/queries/rows.ts';
import { assignments } from '../../directory/queries/update.ts';
import type { WebhookAttempt, WebhookDelivery, WebhookEndpoint } from '../schema.ts';

const endpointColumns = `w.tenant_id as "tenantId", w.id, w.url, w.topics, w.description, w.status, w.disabled_reason as "disabledReason",
  w.failing_since as "failingSince", case when w.old_secret_until > now() then w.old_secret_until end as "oldSecretUntil",
  w.created_at as "createdAt", w.updated_at as "updatedAt"`;

type Row<T> = T & Record<string, unknown>;

export async function insertEndpoint(
  kernel: Kernel,
  tenantId: string,
  input: { url: string; topics: string[]; description: string | undefined; secretId: string },
): Promise<WebhookEndpoint | undefined> {
  const [row] = await kernel.query<Row<WebhookEndpoint>>(
    `insert into tenantry.webhook_endpoints as w (tenant_id, url, topics, description, secret_id)
     values ($1::uuid, $2::text, $3::text[], $4::text, $5::uuid) returning ${endpointColumns}`,
    [tenantId, input.url, input.topics, input.description ?? null, input.secretId],
  );
  return row;
}

export async function selectEndpoint(kernel: Kernel, tenantId: string, id: string): Promise<WebhookEndpoint | null> {
  return first(
    await kernel.query<Row<WebhookEndpoint>>(
      `select ${endpointColumns} from tenantry.webhook_endpoints w where w.tenant_id = $1::uuid and w.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function listEndpoints(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<WebhookEndpoint[]> {
  return kernel.query<Row<WebhookEndpoint>>(
    `select ${endpointColumns} from tenantry.webhook_endpoints w
     where w.tenant_id = $1::uuid and ($2::uuid is null or w.id > $2::uuid) order by w.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

export interface EndpointChange {
  readonly url?: string | undefined;
  readonly topics?: string[] | undefined;
  readonly description?: string | null | undefined;
  readonly status?: 'enabled' | 'disabled' | undefined;
  readonly disabledReason?: string | null | undefined;
  readonly failingSince?: null | undefined;
}

export async function updateEndpoint(
  kernel: Kernel,
  tenantId: string,
  id: string,
  change: EndpointChange,
): Promise<WebhookEndpoint | null> {
  const columns = {
    url: ['url', 'text'],
    topics: ['topics', 'text[]'],
    description: ['description', 'text'],
    status: ['status', 'text'],
    disabledReason: ['disabled_reason', 'text'],
    failingSince: ['failing_since', 'timestamptz'],
  } as const;
  const set = assignments(change, columns, 3);
  if (set === undefined) return selectEndpoint(kernel, tenantId, id);
  return first(
    await kernel.query<Row<WebhookEndpoint>>(
      `update tenantry.webhook_endpoints w set ${set.text} where w.tenant_id = $1::uuid and w.id = $2::uuid returning ${endpointColumns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export interface EndpointSecrets {
  readonly secretId: string;
  readonly oldSecretId: string | null;
}

/** The new secret signs first; the old one beside it until its time. */
export async function rotateEndpointSecret(
  kernel: Kernel,
  tenantId: string,
  id: string,
  secretId: string,
  overlapMs: number,
): Promise<WebhookEndpoint | null> {
  return first(
    await kernel.query<Row<WebhookEndpoint>>(
      `update tenantry.webhook_endpoints w set secret_id = $3::uuid, old_secret_id = w.secret_id,
         old_secret_until = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
       where w.tenant_id = $1::uuid and w.id = $2::uuid returning ${endpointColumns}`,
      [tenantId, id, secretId, overlapMs],
    ),
  );
}

export async function deleteEndpoint(
  kernel: Kernel,
  tenantId: string,
  id: string,
): Promise<(WebhookEndpoint & EndpointSecrets) | null> {
  return first(
    await kernel.query<Row<WebhookEndpoint & EndpointSecrets>>(
      `delete from tenantry.webhook_endpoints w where w.tenant_id = $1::uuid and w.id = $2::uuid
       returning ${endpointColumns}, w.secret_id as "secretId", w.old_secret_id as "oldSecretId"`,
      [tenantId, id],
    ),
  );
}

export interface EndpointTarget extends EndpointSecrets {
  readonly url: string;
  readonly failingSince: Date | null;
}

/** What sending needs; the old secret only while it signs. */
export async function selectTarget(kernel: Kernel, tenantId: string, id: string): Promise<EndpointTarget | null> {
  return first(
    await kernel.query<Row<EndpointTarget>>(
      `select w.url, w.secret_id as "secretId", case when w.old_secret_until > clock_timestamp() then w.old_secret_id end as "oldSecretId",
         w.failing_since as "failingSince"
       from tenantry.webhook_endpoints w where w.tenant_id = $1::uuid and w.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function selectSecrets(kernel: Kernel, tenantId: string, id: string): Promise<EndpointSecrets | null> {
  return first(
    await kernel.query<Row<EndpointSecrets>>(
      `select w.secret_id as "secretId", w.old_secret_id as "oldSecretId" from tenantry.webhook_endpoints w
       where w.tenant_id = $1::uuid and w.id = $2::uuid for no key update`,
      [tenantId, id],
    ),
  );
}

export async function disableEndpoint(kernel: Kernel, id: string, reason: string): Promise<boolean> {
  const [row] = await kernel.query<{ done: boolean }>('select tenantry.webhook_disable($1::uuid, $2::text) as done', [
    id,
    reason,
  ]);
  return row?.done === true;
}

/** @returns how many events will be sent (again) */
export async function replayEvents(
  kernel: Kernel,
  endpointId: string,
  which: { eventId?: string; since?: Date },
): Promise<number> {
  const [row] = await kernel.query<{ count: number }>(
    'select tenantry.outbox_replay($1::uuid, $2::uuid, $3::timestamptz)::float8 as count',
    [endpointId, which.eventId ?? null, which.since?.toISOString() ?? '-infinity'],
  );
  return row?.count ?? 0;
}

export async function listDeliveries(
  kernel: Kernel,
  tenantId: string,
  filter: { endpointId?: string | undefined; state?: string | undefined },
  after: { value: string; id: string } | undefined,
  limit: number,
): Promise<{ delivery: WebhookDelivery; position: string }[]> {
  const rows = await kernel.query<Row<WebhookDelivery & { position: string }>>(
    `select d.tenant_id as "tenantId", d.id, d.queue_id as "endpointId", d.event_id as "eventId", o.topic, o.seq::float8 as seq, d.state,
       d.attempts, d.retry_at as "retryAt", a.status as "lastStatus", a.error as "lastError",
       d.created_at as "createdAt", d.updated_at as "updatedAt", ${instantText('d.created_at')} as position
     from tenantry.outbox_deliveries d
     join tenantry.outbox_queues q on q.tenant_id = d.tenant_id and q.id = d.queue_id and q.endpoint_id is not null
     join tenantry.outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
     left join lateral (select x.status, x.error from tenantry.outbox_attempts x
       where x.tenant_id = d.tenant_id and x.delivery_id = d.id order by x.at desc limit 1) a on true
     where d.tenant_id = $1::uuid and ($2::uuid is null or d.queue_id = $2::uuid) and ($3::text is null or d.state = $3::text)
       and ($4::timestamptz is null or (d.created_at, d.id) < ($4::timestamptz, $5::uuid))
     order by d.created_at desc, d.id desc limit $6::int`,
    [tenantId, filter.endpointId ?? null, filter.state ?? null, after?.value ?? null, after?.id ?? null, limit],
  );
  return rows.map(({ position, ...delivery }) => ({ delivery, position }));
}

export async function listAttempts(kernel: Kernel, tenantId: string, deliveryId: string): Promise<WebhookAttempt[]> {
  return kernel.query<Row<WebhookAttempt>>(
    `select a.id, a.at, a.outcome, a.status, a.error, a.duration_ms as "durationMs", a.response
     from tenantry.outbox_attempts a where a.tenant_id = $1::uuid and a.delivery_id = $2::uuid order by a.at, a.id limit 1000`,
    [tenantId, deliveryId],
  );
}
