import { csvCell } from '../../../csv.ts';
import { type Billed, invoiceDocument } from './document.ts';

const columns = [
  'number',
  'kind',
  'status',
  'issued_at',
  'currency',
  'period_start',
  'period_end',
  'line',
  'charge',
  'description',
  'service_start',
  'service_end',
  'quantity',
  'amount',
  'amount_minor',
] as const;

/** Invoices as CSV (RFC 4180), one row per line of an invoice; the amounts of an invoice's rows add up to its total. */
export function invoiceCsv(...invoices: readonly Billed[]): string {
  const rows = invoices
    .map(invoiceDocument)
    .flatMap((invoice) =>
      invoice.lines.map((line, i) => [
        invoice.number,
        line.kind === 'correction' ? 'correction' : invoice.kind,
        invoice.status,
        invoice.issuedAt,
        invoice.currency,
        invoice.period.start,
        invoice.period.end,
        i + 1,
        line.charge,
        line.description,
        line.service.start,
        line.service.end,
        line.quantity,
        line.amount.decimal,
        line.amount.minor,
      ]),
    );
  return [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}
