import type { Kernel } from '../../../database/kernel.ts';
import { instantText } from '../../../directory/queries/columns.ts';
import { millis } from './snapshot.ts';
import type { InvoiceLine, PlannedInvoice } from '../types.ts';
import type { Invoice } from '../schema.ts';

const linesJson = `coalesce((select jsonb_agg(jsonb_build_object('kind', l.kind, 'charge', l.charge, 'periodIndex', l.period_index,
    'serviceStart', ${millis('l.service_start')}, 'serviceEnd', ${millis('l.service_end')}, 'description', l.description,
    'quantity', trim_scale(l.quantity)::text, 'exact', trim_scale(l.exact)::text, 'amount', l.amount, 'details', l.details) order by l.position)
  from tenantry.invoice_lines l where l.tenant_id = i.tenant_id and l.invoice_id = i.id), '[]')`;

const headColumns = `i.id, i.kind, i.number, i.status, i.subscription_id as "subscriptionId", i.corrects_invoice_id as "correctsInvoiceId",
  i.currency, i.time_zone as "timeZone", i.period_index as "periodIndex", i.period_start as "periodStart", i.period_end as "periodEnd",
  i.subtotal::float8 as subtotal, i.credits::float8 as credits, i.total::float8 as total, i.reason, i.issued_at as "issuedAt",
  i.voided_at as "voidedAt"`;

type Row = Omit<Invoice, 'lines'> & {
  lines: (Omit<InvoiceLine, 'serviceStart' | 'serviceEnd'> & { serviceStart: number; serviceEnd: number })[];
} & Record<string, unknown>;

const fromRow = ({ lines, ...head }: Row): Invoice => ({
  ...head,
  lines: lines.map((line) => ({
    ...line,
    serviceStart: new Date(line.serviceStart),
    serviceEnd: new Date(line.serviceEnd),
  })),
});

export async function selectInvoice(kernel: Kernel, tenantId: string, idOrNumber: string): Promise<Invoice | null> {
  const [row] = await kernel.query<Row>(
    `select ${headColumns}, ${linesJson} as lines from tenantry.invoices i
     where i.tenant_id = $1::uuid and (i.id::text = lower($2::text) or i.number = $2::text)`,
    [tenantId, idOrNumber],
  );
  return row === undefined ? null : fromRow(row);
}

/** The invoice that stands for a period. */
export async function selectInvoiceOfPeriod(
  kernel: Kernel,
  tenantId: string,
  subscriptionId: string,
  periodIndex: number,
): Promise<Invoice | null> {
  const [row] = await kernel.query<Row>(
    `select ${headColumns}, ${linesJson} as lines from tenantry.invoices i
     where i.tenant_id = $1::uuid and i.subscription_id = $2::uuid and i.period_index = $3::int
       and i.kind = 'invoice' and i.status = 'final'`,
    [tenantId, subscriptionId, periodIndex],
  );
  return row === undefined ? null : fromRow(row);
}

export async function selectInvoiceByRequest(
  kernel: Kernel,
  tenantId: string,
  requestKey: string,
): Promise<Invoice | null> {
  const [row] = await kernel.query<Row>(
    `select ${headColumns}, ${linesJson} as lines from tenantry.invoices i where i.tenant_id = $1::uuid and i.request_key = $2::text`,
    [tenantId, requestKey],
  );
  return row === undefined ? null : fromRow(row);
}

/** Newest first, with the instant of each as text for the cursor. */
export async function listInvoices(
  kernel: Kernel,
  tenantId: string,
  before: { value: string; id: string } | undefined,
  limit: number,
): Promise<{ invoice: Invoice; position: string }[]> {
  const rows = await kernel.query<Row & { position: string }>(
    `select ${headColumns}, ${linesJson} as lines, ${instantText('i.issued_at')} as position from tenantry.invoices i
     where i.tenant_id = $1::uuid and ($2::timestamptz is null or (i.issued_at, i.id) < ($2::timestamptz, $3::uuid))
     order by i.issued_at desc, i.id desc limit $4::int`,
    [tenantId, before?.value ?? null, before?.id ?? null, limit],
  );
  return rows.map(({ position, ...row }) => ({ invoice: fromRow(row as Row), position }));
}

/** The highest period that a standing invoice has closed; null before the first one. */
export async function selectLastClosed(
  kernel: Kernel,
  tenantId: string,
  subscriptionId: string,
): Promise<number | null> {
  const [row] = await kernel.query<{ last: number | null }>(
    `select max(i.period_index) as last from tenantry.invoices i
     where i.tenant_id = $1::uuid and i.subscription_id = $2::uuid and i.kind = 'invoice' and i.status = 'final'`,
    [tenantId, subscriptionId],
  );
  return row?.last ?? null;
}

/** Takes the next number of a kind. The row stays locked until the end of the transaction: there is no gap. */
export async function takeNumber(kernel: Kernel, tenantId: string, kind: 'invoice' | 'credit_note'): Promise<string> {
  const [row] = await kernel.query<{ number: string }>(
    `insert into tenantry.invoice_counters as c (tenant_id, kind, last_number) values ($1::uuid, $2::text, 1)
     on conflict (tenant_id, kind) do update set last_number = c.last_number + 1
     returning format('%s-%s-%s', case $2::text when 'invoice' then 'INV' else 'CN' end,
       (select o.number from tenantry.organizations o where o.id = $1::uuid), lpad(c.last_number::text, 6, '0')) as number`,
    [tenantId, kind],
  );
  return String(row?.number);
}

export interface NewInvoice {
  readonly kind: 'invoice' | 'credit_note';
  readonly number: string;
  readonly subscriptionId: string;
  readonly correctsInvoiceId?: string;
  readonly reason?: string;
  readonly requestKey?: string | undefined;
}

export async function insertInvoice(
  kernel: Kernel,
  tenantId: string,
  head: NewInvoice,
  planned: PlannedInvoice,
): Promise<string> {
  const [row] = await kernel.query<{ id: string }>(
    `insert into tenantry.invoices (tenant_id, kind, number, subscription_id, corrects_invoice_id, currency, time_zone, period_index,
       period_start, period_end, subtotal, credits, total, reason, request_key)
     values ($1::uuid, $2::text, $3::text, $4::uuid, $5::uuid, $6::text, $7::text, $8::int, $9::timestamptz, $10::timestamptz,
       $11::bigint, $12::bigint, $13::bigint, $14::text, $15::text) returning id`,
    [
      tenantId,
      head.kind,
      head.number,
      head.subscriptionId,
      head.correctsInvoiceId ?? null,
      planned.currency,
      planned.timeZone,
      head.kind === 'invoice' ? planned.periodIndex : null,
      planned.periodStart,
      planned.periodEnd,
      planned.subtotal,
      planned.credits,
      planned.total,
      head.reason ?? null,
      head.requestKey ?? null,
    ],
  );
  const id = String(row?.id);
  await kernel.query(
    `insert into tenantry.invoice_lines (tenant_id, invoice_id, position, kind, charge, period_index, service_start, service_end,
       description, quantity, exact, amount, details)
     select $1::uuid, $2::uuid, x.position, x.line ->> 'kind', x.line ->> 'charge', (x.line ->> 'periodIndex')::int,
       (x.line ->> 'serviceStart')::timestamptz, (x.line ->> 'serviceEnd')::timestamptz, x.line ->> 'description',
       (x.line ->> 'quantity')::numeric, (x.line ->> 'exact')::numeric, (x.line ->> 'amount')::bigint, x.line -> 'details'
     from jsonb_array_elements($3::jsonb) with ordinality as x (line, position)`,
    [tenantId, id, JSON.stringify(planned.lines)],
  );
  return id;
}

export async function updateVoid(kernel: Kernel, tenantId: string, id: string, reason: string): Promise<boolean> {
  const rows = await kernel.query(
    `update tenantry.invoices i set status = 'void', voided_at = clock_timestamp(), reason = $3::text, pushed_at = null
     where i.tenant_id = $1::uuid and i.id = $2::uuid and i.status = 'final' returning i.id`,
    [tenantId, id, reason],
  );
  return rows.length > 0;
}

/** Minor units that credit notes which stand take off an invoice: zero or less. */
export async function selectCredited(kernel: Kernel, tenantId: string, invoiceId: string): Promise<number> {
  const [row] = await kernel.query<{ credited: number }>(
    `select coalesce(sum(i.total), 0)::float8 as credited from tenantry.invoices i
     where i.tenant_id = $1::uuid and i.corrects_invoice_id = $2::uuid and i.status = 'final'`,
    [tenantId, invoiceId],
  );
  return row?.credited ?? 0;
}

/** Locks the subscription: whoever closes or changes it takes turns. */
export async function lockSubscription(kernel: Kernel, tenantId: string, subscriptionId: string): Promise<void> {
  await kernel.query(
    'select 1 from tenantry.subscriptions s where s.tenant_id = $1::uuid and s.id = $2::uuid for no key update',
    [tenantId, subscriptionId],
  );
}

/** Subscriptions that may have a period to close by an instant: `next_invoice_at` is never too late. */
export async function selectDue(
  kernel: Kernel,
  by: Date,
  after: string | null,
  limit: number,
): Promise<{ tenantId: string; id: string }[]> {
  return kernel.query<{ tenantId: string; id: string }>(
    `select s.tenant_id as "tenantId", s.id from tenantry.subscriptions s
     where s.next_invoice_at <= $1::timestamptz and ($2::uuid is null or s.id > $2::uuid) order by s.id limit $3::int`,
    [by, after, limit],
  );
}

/** When to look at a subscription again; null: never. */
export async function updateNextInvoice(kernel: Kernel, tenantId: string, id: string, at: Date | null): Promise<void> {
  await kernel.query(
    `update tenantry.subscriptions s set next_invoice_at = $3::timestamptz where s.tenant_id = $1::uuid and s.id = $2::uuid
       and s.next_invoice_at is distinct from $3::timestamptz`,
    [tenantId, id, at],
  );
}

/** The server's clock, and the billing period that it is in. Milliseconds since 1970. */
export async function selectNow(kernel: Kernel, tenantId: string, id: string): Promise<{ at: number; period: number }> {
  const [row] = await kernel.query<{ at: number; period: number }>(
    `select ${millis('statement_timestamp()')} as at, tenantry.billing_period($1::uuid, $2::uuid, statement_timestamp()) as period`,
    [tenantId, id],
  );
  return row ?? { at: 0, period: 0 };
}

/** Tells webhooks, in the transaction of what happened. */
export async function emitEvent(
  kernel: Kernel,
  tenantId: string,
  topic: string,
  payload: object,
  key: string,
): Promise<void> {
  await kernel.query('select tenantry.emit($1::uuid, $2::text, $3::jsonb, $4::text)', [
    tenantId,
    topic,
    JSON.stringify(payload),
    key,
  ]);
}

/**
 * Closes the usage of an organization up to an instant: waits for those who are counting, and what comes later for a time
 * before it is told as a correction.
 */
export async function closeUsage(kernel: Kernel, tenantId: string, until: Date): Promise<void> {
  await kernel.query('select tenantry.close_usage($1::uuid, $2::timestamptz)', [tenantId, until]);
}

/** Corrections that an invoice has rated are settled by it. */
export async function settleCorrections(
  kernel: Kernel,
  tenantId: string,
  invoiceId: string,
  until: Date,
): Promise<void> {
  await kernel.query(
    `select tenantry.settle_usage_corrections($1::uuid, array_agg(c.id), $2::uuid) from tenantry.usage_corrections c
     where c.tenant_id = $1::uuid and c.settled_at is null and c.day_start < $3::timestamptz having count(*) > 0`,
    [tenantId, invoiceId, until],
  );
}
