import type Stripe from 'stripe';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { selectInvoice } from '../billing/queries/invoices.ts';
import type { Invoice } from '../billing/schema.ts';
import { stripeAmount } from './amounts.ts';
import { lookSettings, once, type Retries, reading, type Step } from './once.ts';
import { markPushed, selectCustomer, selectOrganizationName, selectStep, upsertCustomer } from './queries.ts';

export interface PushSettings {
  readonly stripe: Stripe;
  readonly retries: Retries;
  /** Whether Stripe collects the money once the invoice is finalized. */
  readonly collect: boolean;
  /** How it is collected: from the customer's payment method, or by an e-mail with so many days to pay. */
  readonly daysUntilDue: number | undefined;
}

/** Stripe's own limit of items per invoice. */
const mostLines = 250;

/**
 * Tells Stripe of an invoice or credit note as it stands. Interrupted at any point and called again, it goes on there.
 *
 * @throws TNT_STRIPE_REFUSED, TNT_STRIPE_UNAVAILABLE, TNT_STRIPE_MISMATCH
 */
export async function pushInvoice(
  kernel: Kernel,
  settings: PushSettings,
  tenantId: string,
  invoice: Invoice,
): Promise<void> {
  if (invoice.kind === 'credit_note') await pushCreditNote(kernel, settings, tenantId, invoice);
  else if (invoice.status === 'void') await pushVoid(kernel, settings, tenantId, invoice);
  else await pushFinal(kernel, settings, tenantId, invoice);
  await markPushed(kernel, tenantId, invoice.id, invoice.status);
}

async function pushFinal(kernel: Kernel, settings: PushSettings, tenantId: string, invoice: Invoice): Promise<void> {
  const { stripe, retries, collect, daysUntilDue } = settings;
  const currency = invoice.currency.toLowerCase();
  const lines = invoice.lines
    .map((line, i) => ({ ...line, position: i + 1, units: stripeAmount(line.amount, invoice.currency) }))
    .filter(({ units }) => units !== 0);
  if (lines.length > mostLines) {
    throw new TenantryError(
      'TNT_STRIPE_REFUSED',
      `Stripe takes ${mostLines} lines in an invoice; ${invoice.number} has ${lines.length}.`,
    );
  }
  const customer = await customerOf(kernel, settings, tenantId);
  const step = (name: string, rest: Pick<Step, 'send' | 'find'>): Promise<string> =>
    once(kernel, { tenantId, subjectId: invoice.id, name, ...rest }, retries);
  const metadata = { tenantry_invoice: invoice.id, tenantry_number: invoice.number, tenantry_tenant: tenantId };
  const id = await step('invoice', {
    send: (options) =>
      stripe.invoices.create(
        {
          customer,
          currency,
          auto_advance: false,
          pending_invoice_items_behavior: 'exclude',
          description: `Invoice ${invoice.number}`,
          metadata,
          ...(daysUntilDue === undefined
            ? { collection_method: 'charge_automatically' }
            : { collection_method: 'send_invoice', days_until_due: daysUntilDue }),
        },
        options,
      ),
    find: async (since) => {
      const made = stripe.invoices.list(
        { customer, created: { gte: seconds(since) - 300 }, limit: 100 },
        lookSettings(retries),
      );
      for await (const each of made) if (each.metadata?.['tenantry_invoice'] === invoice.id) return each.id;
      return undefined;
    },
  });
  for (const { position, units, description, serviceStart, serviceEnd } of lines) {
    const line = { tenantry_invoice: invoice.id, tenantry_line: String(position) };
    await step(`line-${position}`, {
      send: (options) =>
        stripe.invoiceItems.create(
          {
            customer,
            invoice: id,
            amount: units,
            currency,
            description,
            discountable: false,
            period: { start: seconds(serviceStart), end: seconds(serviceEnd) },
            metadata: line,
          },
          options,
        ),
      find: async () => {
        const made = stripe.invoiceItems.list({ invoice: id, limit: 100 }, lookSettings(retries));
        for await (const each of made) if (each.metadata?.['tenantry_line'] === line.tenantry_line) return each.id;
        return undefined;
      },
    });
  }
  if ((await selectStep(kernel, tenantId, invoice.id, 'finalize')) !== undefined) return;
  const draft = await reading('an invoice', retries, () => stripe.invoices.retrieve(id, {}, lookSettings(retries)));
  const expected = stripeAmount(invoice.total, invoice.currency);
  if (draft.subtotal !== expected) {
    throw new TenantryError(
      'TNT_STRIPE_MISMATCH',
      `At Stripe the lines of ${invoice.number} come to ${draft.subtotal}, not ${expected}; it stays a draft there.`,
      { details: { invoice: invoice.number, stripeInvoice: id, expected, found: draft.subtotal } },
    );
  }
  await step('finalize', {
    send: (options) => stripe.invoices.finalizeInvoice(id, { auto_advance: collect }, options),
    find: async () =>
      (await stripe.invoices.retrieve(id, {}, lookSettings(retries))).status === 'draft' ? undefined : id,
  });
}

/** Voided here: what Stripe has of it goes too. */
async function pushVoid(
  kernel: Kernel,
  { stripe, retries }: PushSettings,
  tenantId: string,
  invoice: Invoice,
): Promise<void> {
  const id = await selectStep(kernel, tenantId, invoice.id, 'invoice');
  if (id === undefined) return;
  const { status } = await reading('an invoice', retries, () =>
    stripe.invoices.retrieve(id, {}, lookSettings(retries)),
  );
  if (status === 'void') return;
  if (status === 'paid') {
    throw new TenantryError(
      'TNT_STRIPE_REFUSED',
      `At Stripe the invoice ${invoice.number} is paid, and cannot be voided.`,
      {
        details: { stripeInvoice: id },
        hint: 'Refund it at Stripe; then voiding needs nothing more there.',
      },
    );
  }
  await once(
    kernel,
    {
      tenantId,
      subjectId: invoice.id,
      name: 'void',
      send: (options) =>
        status === 'draft' ? stripe.invoices.del(id, {}, options) : stripe.invoices.voidInvoice(id, {}, options),
      find: async () =>
        (await stripe.invoices.retrieve(id, {}, lookSettings(retries))).status === 'void' ? id : undefined,
    },
    retries,
  );
}

/** A refund is Stripe's to make; a credit for coming invoices stands in those, as a line. */
async function pushCreditNote(kernel: Kernel, settings: PushSettings, tenantId: string, note: Invoice): Promise<void> {
  if (note.status === 'void' || note.lines[0]?.details['settle'] !== 'refund') return;
  const { stripe, retries } = settings;
  const original =
    note.correctsInvoiceId === null ? null : await selectInvoice(kernel, tenantId, note.correctsInvoiceId);
  if (original === null) return;
  await pushInvoice(kernel, settings, tenantId, original);
  const invoice = (await selectStep(kernel, tenantId, original.id, 'invoice')) ?? '';
  const amount = stripeAmount(-note.total, note.currency);
  const { status } = await reading('an invoice', retries, () =>
    stripe.invoices.retrieve(invoice, {}, lookSettings(retries)),
  );
  await once(
    kernel,
    {
      tenantId,
      subjectId: note.id,
      name: 'credit_note',
      send: (options) =>
        stripe.creditNotes.create(
          {
            invoice,
            amount,
            memo: note.reason ?? note.number,
            metadata: { tenantry_invoice: note.id, tenantry_number: note.number },
            ...(status === 'paid' ? { refund_amount: amount } : {}),
          },
          options,
        ),
      find: async () => {
        const made = stripe.creditNotes.list({ invoice, limit: 100 }, lookSettings(retries));
        for await (const each of made) if (each.metadata?.['tenantry_invoice'] === note.id) return each.id;
        return undefined;
      },
    },
    retries,
  );
}

/** The organization's customer at Stripe, made at the first invoice unless one was linked. */
async function customerOf(kernel: Kernel, { stripe, retries }: PushSettings, tenantId: string): Promise<string> {
  const known = await selectCustomer(kernel, tenantId);
  if (known !== undefined) return known;
  const name = (await selectOrganizationName(kernel, tenantId)) ?? tenantId;
  const customer = await once(
    kernel,
    {
      tenantId,
      subjectId: tenantId,
      name: 'customer',
      send: (options) => stripe.customers.create({ name, metadata: { tenantry_tenant: tenantId } }, options),
      find: async (since) => {
        const made = stripe.customers.list(
          { created: { gte: seconds(since) - 300 }, limit: 100 },
          lookSettings(retries),
        );
        for await (const each of made) if (each.metadata['tenantry_tenant'] === tenantId) return each.id;
        return undefined;
      },
    },
    retries,
  );
  await upsertCustomer(kernel, tenantId, customer);
  return customer;
}

const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);
