import type { Kernel } from '../../database/kernel.ts';

/** A queue that is ours for a while. */
export interface Lease {
  readonly tenantId: string;
  readonly queueId: string;
  /** Null: an endpoint's. */
  readonly consumer: string | null;
  readonly token: string;
}

export interface ClaimOptions {
  readonly consumers: readonly string[];
  readonly webhooks: boolean;
  /** Tenants that have enough under way here. */
  readonly busy: readonly string[];
  readonly perTenant: number;
  readonly limit: number;
  readonly leaseMs: number;
}

export async function claimQueues(kernel: Kernel, options: ClaimOptions): Promise<Lease[]> {
  const { consumers, webhooks, busy, perTenant, limit, leaseMs } = options;
  return kernel.query<Lease & Record<string, unknown>>(
    `select tenant_id as "tenantId", queue_id as "queueId", consumer, lease as token
     from tenantry.outbox_claim($1::text[], $2::boolean, $3::uuid[], $4::int, $5::int, $6::int)`,
    [consumers, webhooks, busy, perTenant, limit, leaseMs],
  );
}

/** Milliseconds until the next queue is due; null: none is. */
export async function nextDue(kernel: Kernel, consumers: readonly string[], webhooks: boolean): Promise<number | null> {
  const [row] = await kernel.query<{ wait: number | null }>(
    'select tenantry.outbox_wait($1::text[], $2::boolean) as wait',
    [consumers, webhooks],
  );
  return row?.wait ?? null;
}

export interface NextEvent {
  readonly id: string;
  readonly seq: number;
  readonly topic: string;
  readonly payload: Record<string, unknown>;
  readonly userId: string | null;
  readonly occurredAt: Date;
  /** Attempts that failed before. */
  readonly attempts: number;
  readonly replay: boolean;
}

export async function nextEvents(kernel: Kernel, { queueId, token }: Lease, limit: number): Promise<NextEvent[]> {
  return kernel.query<NextEvent & Record<string, unknown>>(
    `select id, seq::float8 as seq, topic, payload, user_id as "userId", occurred_at as "occurredAt", attempts, replay
     from tenantry.outbox_next($1::uuid, $2::uuid, $3::int)`,
    [queueId, token, limit],
  );
}

export interface Report {
  readonly eventId: string;
  readonly delivered: boolean;
  /** When to try again; null with delivered false: give up. Milliseconds. */
  readonly retryMs: number | null;
  readonly leaseMs: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
  readonly response: string | null;
}

/** False: the lease is somebody else's by now, and nothing was written. */
export async function reportAttempt(kernel: Kernel, { queueId, token }: Lease, report: Report): Promise<boolean> {
  const [row] = await kernel.query<{ ours: boolean }>(
    `select tenantry.outbox_report($1::uuid, $2::uuid, $3::uuid, $4::boolean, $5::int, $6::int, $7::int, $8::text, $9::int, $10::text) as ours`,
    [
      queueId,
      token,
      report.eventId,
      report.delivered,
      report.retryMs,
      report.leaseMs,
      report.status,
      report.error,
      report.durationMs,
      report.response,
    ],
  );
  return row?.ours === true;
}

export async function extendLease(kernel: Kernel, { queueId, token }: Lease, leaseMs: number): Promise<boolean> {
  const [row] = await kernel.query<{ ours: boolean }>(
    'select tenantry.outbox_extend($1::uuid, $2::uuid, $3::int) as ours',
    [queueId, token, leaseMs],
  );
  return row?.ours === true;
}

export async function releaseLease(kernel: Kernel, { queueId, token }: Lease): Promise<void> {
  await kernel.query('select tenantry.outbox_release($1::uuid, $2::uuid)', [queueId, token]);
}

export async function registerConsumer(kernel: Kernel, name: string, topics: readonly string[]): Promise<void> {
  await kernel.query('select tenantry.outbox_register($1::text, $2::text[])', [name, topics]);
}

export async function pruneEvents(kernel: Kernel, days: number, limit: number): Promise<number> {
  const [row] = await kernel.query<{ count: number }>(
    'select tenantry.outbox_prune($1::int, $2::int)::float8 as count',
    [days, limit],
  );
  return row?.count ?? 0;
}
