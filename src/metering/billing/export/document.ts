import { decimalAmount } from '../currency.ts';
import type { Invoice } from '../schema.ts';
import type { PlannedInvoice } from '../types.ts';

/** An invoice that stands, or a preview of one. */
export type Billed = Invoice | PlannedInvoice;

interface Amount {
  /** Minor units. */
  readonly minor: number;
  /** The same in the main unit: "12.34". */
  readonly decimal: string;
}

/** An invoice as JSON for other systems: every amount twice, as minor units and as a decimal of the main unit. */
export interface InvoiceDocument {
  readonly number: string | null;
  readonly kind: 'invoice' | 'credit_note' | 'preview';
  readonly status: 'final' | 'void' | 'preview';
  readonly issuedAt: string | null;
  readonly currency: string;
  readonly timeZone: string;
  readonly period: { readonly start: string; readonly end: string };
  readonly lines: readonly {
    readonly kind: string;
    readonly charge: string;
    readonly description: string;
    readonly service: { readonly start: string; readonly end: string };
    readonly quantity: string | null;
    readonly amount: Amount;
    readonly details: Readonly<Record<string, unknown>>;
  }[];
  readonly subtotal: Amount;
  readonly credits: Amount;
  readonly total: Amount;
}

export function invoiceDocument(invoice: Billed): InvoiceDocument {
  const amount = (minor: number): Amount => ({ minor, decimal: decimalAmount(minor, invoice.currency) });
  const span = (start: Date, end: Date): { start: string; end: string } => ({
    start: start.toISOString(),
    end: end.toISOString(),
  });
  const stored = 'id' in invoice ? invoice : undefined;
  return {
    number: stored?.number ?? null,
    kind: stored?.kind ?? 'preview',
    status: stored?.status ?? 'preview',
    issuedAt: stored?.issuedAt.toISOString() ?? null,
    currency: invoice.currency,
    timeZone: invoice.timeZone,
    period: span(invoice.periodStart, invoice.periodEnd),
    lines: invoice.lines.map((line) => ({
      kind: line.kind,
      charge: line.charge,
      description: line.description,
      service: span(line.serviceStart, line.serviceEnd),
      quantity: line.quantity,
      amount: amount(line.amount),
      details: line.details,
    })),
    subtotal: amount(invoice.subtotal),
    credits: amount(invoice.credits),
    total: amount(invoice.total),
  };
}
