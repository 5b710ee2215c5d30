import type { Kernel } from '../../../database/kernel.ts';
import type { Credit } from '../schema.ts';

const creditColumns = `c.id, c.currency, c.amount::float8 as amount,
  (c.amount + coalesce((select sum(e.amount) from tenantry.credit_entries e where e.tenant_id = c.tenant_id and e.credit_id = c.id), 0))::float8 as remaining,
  c.priority, c.expires_at as "expiresAt", c.source, c.source_invoice_id as "sourceInvoiceId", c.reason, c.created_at as "createdAt",
  c.voided_at as "voidedAt"`;

type Row = Credit & Record<string, unknown>;

export async function listCredits(kernel: Kernel, tenantId: string): Promise<Credit[]> {
  return kernel.query<Row>(
    `select ${creditColumns} from tenantry.credits c where c.tenant_id = $1::uuid order by c.created_at, c.id`,
    [tenantId],
  );
}

export interface NewCredit {
  readonly currency: string;
  readonly amount: number;
  readonly priority: number;
  readonly expiresAt: Date | null;
  readonly source: Credit['source'];
  readonly sourceInvoiceId: string | null;
  readonly reason: string;
  readonly requestKey: string | null;
}

/** Asked again with the same request key, it is the same credit. */
export async function insertCredit(kernel: Kernel, tenantId: string, credit: NewCredit): Promise<Credit> {
  await kernel.query(
    `insert into tenantry.credits (tenant_id, currency, amount, priority, expires_at, source, source_invoice_id, reason, request_key)
     values ($1::uuid, $2::text, $3::bigint, $4::int, $5::timestamptz, $6::text, $7::uuid, $8::text, $9::text)
     on conflict (tenant_id, request_key) do nothing`,
    [
      tenantId,
      credit.currency,
      credit.amount,
      credit.priority,
      credit.expiresAt,
      credit.source,
      credit.sourceInvoiceId,
      credit.reason,
      credit.requestKey,
    ],
  );
  const [row] = await kernel.query<Row>(
    `select ${creditColumns} from tenantry.credits c
     where c.tenant_id = $1::uuid and ($2::text is null or c.request_key = $2::text) order by c.created_at desc, c.id desc limit 1`,
    [tenantId, credit.requestKey],
  );
  return row as Credit;
}

export async function insertUses(
  kernel: Kernel,
  tenantId: string,
  invoiceId: string,
  uses: readonly { creditId: string; amount: number }[],
): Promise<void> {
  await kernel.query(
    `insert into tenantry.credit_entries (tenant_id, credit_id, invoice_id, kind, amount)
     select $1::uuid, u.credit_id, $2::uuid, 'use', u.amount from unnest($3::uuid[], $4::bigint[]) u (credit_id, amount)`,
    [tenantId, invoiceId, uses.map(({ creditId }) => creditId), uses.map(({ amount }) => amount)],
  );
}

/** Gives back what an invoice used. */
export async function insertReturns(kernel: Kernel, tenantId: string, invoiceId: string): Promise<void> {
  await kernel.query(
    `insert into tenantry.credit_entries (tenant_id, credit_id, invoice_id, kind, amount)
     select e.tenant_id, e.credit_id, e.invoice_id, 'return', -e.amount from tenantry.credit_entries e
     where e.tenant_id = $1::uuid and e.invoice_id = $2::uuid and e.kind = 'use'`,
    [tenantId, invoiceId],
  );
}

/** Takes back the credits that came from an invoice; false when something of them was used already. */
export async function voidCreditsOf(kernel: Kernel, tenantId: string, invoiceId: string): Promise<boolean> {
  const [row] = await kernel.query<{ used: boolean }>(
    `select exists (select 1 from tenantry.credits c join tenantry.credit_entries e on e.tenant_id = c.tenant_id and e.credit_id = c.id
       where c.tenant_id = $1::uuid and c.source_invoice_id = $2::uuid
       group by c.id having sum(e.amount) <> 0) as used`,
    [tenantId, invoiceId],
  );
  if (row?.used === true) return false;
  await kernel.query(
    `update tenantry.credits c set voided_at = clock_timestamp()
     where c.tenant_id = $1::uuid and c.source_invoice_id = $2::uuid and c.voided_at is null`,
    [tenantId, invoiceId],
  );
  return true;
}

export async function voidCredit(kernel: Kernel, tenantId: string, id: string): Promise<boolean> {
  const rows = await kernel.query(
    `update tenantry.credits c set voided_at = clock_timestamp()
     where c.tenant_id = $1::uuid and c.id = $2::uuid and c.voided_at is null returning c.id`,
    [tenantId, id],
  );
  return rows.length > 0;
}
