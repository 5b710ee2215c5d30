export { type Billing, createBilling, type FinalizedDue } from './billing.ts';
export { decimalAmount, minorDigits } from './currency.ts';
export type { Overage } from './overage.ts';
export type {
  Cancel,
  ChangePlan,
  Credit,
  CreditNote,
  FinalizeDue,
  GrantCredit,
  Invoice,
  OperatorCancel,
  OperatorChangePlan,
  OperatorSubscribe,
  OwnPrice,
  SetPrice,
  Subscribe,
  Subscription,
} from './schema.ts';
export type { InvoiceLine, LineKind, PlannedInvoice } from './types.ts';
export { invoiceCsv } from './export/csv.ts';
export { type InvoiceDocument, invoiceDocument } from './export/document.ts';
export { type InvoiceHtmlOptions, invoiceHtml } from './export/html.ts';
