import type { Kernel } from '../../database/kernel.ts';
import type { LedgerRange } from './export.ts';

/** One row of the ledger: an event or a correction. */
export interface LedgerRow extends Record<string, unknown> {
  readonly id: string;
  readonly metric: string;
  /** An exact decimal. Of a correction: the difference. */
  readonly quantity: string;
  /** 1 an event, 0 an amendment, −1 a retraction. */
  readonly events: number;
  readonly occurredAt: Date;
  readonly receivedAt: Date;
  readonly namespaceId: string | null;
  readonly apiKeyId: string | null;
  readonly subject: string | null;
  /** The event that this row corrects. */
  readonly corrects: string | null;
  readonly reason: string | null;
}

export async function openLedgerCursor(
  tx: Kernel,
  tenantId: string,
  { from, to, metric, namespaceId }: LedgerRange,
): Promise<void> {
  const values: unknown[] = [tenantId, from, to];
  const add = (value: unknown): number => values.push(value);
  await tx.query(
    `declare tenantry_usage no scroll cursor for
     select e.id, e.metric, e.quantity::text as quantity, e.events, e.occurred_at as "occurredAt", e.received_at as "receivedAt",
       e.namespace_id as "namespaceId", e.api_key_id as "apiKeyId", e.subject, e.corrects, e.reason
     from tenantry.usage_events e
     where e.tenant_id = $1::uuid and e.occurred_at >= $2::timestamptz and e.occurred_at < $3::timestamptz${
       metric === undefined ? '' : ` and e.metric = $${add(metric)}::text`
     }${namespaceId === undefined ? '' : ` and e.namespace_id = $${add(namespaceId)}::uuid`}
     order by e.occurred_at, e.id`,
    values,
  );
}

export async function fetchLedger(tx: Kernel, rows: number): Promise<LedgerRow[]> {
  return tx.query<LedgerRow>(`fetch forward ${Math.trunc(rows)} from tenantry_usage`);
}

export async function closeLedgerCursor(tx: Kernel): Promise<void> {
  await tx.query('close tenantry_usage');
}
