import { currentTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { decodeTimeCursor, encodeCursor, type Page, pageOf } from '../../directory/page.ts';
import { TenantryError } from '../../errors.ts';
import type { Crossing } from '../crossing.ts';
import { billingWrite } from './billing-error.ts';
import { creditNote, finalize, preview, type RecordEntry, voidInvoice } from './invoicing.ts';
import { insertCredit, listCredits, voidCredit } from './queries/credits.ts';
import type { Overage } from './overage.ts';
import { listInvoices, selectDue, selectInvoice } from './queries/invoices.ts';
import { selectSubscription } from './queries/snapshot.ts';
import { endPrice, insertPrice, listPrices } from './queries/subscriptions.ts';
import {
  type Credit,
  type CreditNote,
  creditNoteSchema,
  type FinalizeDue,
  finalizeDueSchema,
  type GrantCredit,
  grantCreditSchema,
  type Invoice,
  type ListInvoices,
  listInvoicesSchema,
  type OwnPrice,
  type SetPrice,
  setPriceSchema,
} from './schema.ts';
import {
  createOperatorSubscriptions,
  createSubscriptions,
  type OperatorSubscriptions,
  type Subscriptions,
} from './subscriptions.ts';
import type { PlannedInvoice } from './types.ts';

/** What a run over every organization did. */
export interface FinalizedDue {
  readonly issued: readonly { readonly tenantId: string; readonly invoiceId: string; readonly number: string }[];
  /** Organizations whose invoice could not be made; the run went on with the others. */
  readonly failed: readonly { readonly tenantId: string; readonly error: unknown }[];
}

export interface Billing extends Subscriptions {
  /**
   * What closing a billing period would charge, by what is known now; without a number, the running period. The invoice
   * is made by the same function from the same data. Takes billing.read.
   *
   * @param period - 0 is the first period that is billed; -1 the activation, where base fees in advance begin
   * @throws TNT_NOT_FOUND, TNT_FORBIDDEN
   */
  preview(period?: number): Promise<PlannedInvoice>;
  /** What the running period has come to above what is included, by metric, and what that costs (C3). @throws TNT_NOT_FOUND, TNT_FORBIDDEN */
  overage(): Promise<Overage[]>;
  /** Finalized invoices and credit notes, newest first. Takes billing.read: without it there is nothing to see. */
  invoices(options?: ListInvoices): Promise<Page<Invoice>>;
  /** By id or number; null when there is none. */
  invoice(idOrNumber: string): Promise<Invoice | null>;
  /** What invoices are paid from first. */
  credits(): Promise<Credit[]>;
  /** The organization's own prices, oldest first. */
  prices(): Promise<OwnPrice[]>;
  /**
   * What the seller does, for the organization of the context, on the operator's connection. Each call leaves an entry in
   * the operator log, and what changes an organization's bill one in its audit log.
   */
  readonly operator: OperatorSubscriptions & {
    /** @throws TNT_NOT_FOUND, TNT_OPERATOR_UNAVAILABLE */
    preview(period?: number): Promise<PlannedInvoice>;
    /**
     * Sets a price of the organization's own from an instant on: the base fee, or everything about one metric. A date in
     * the past is billed anew: the next invoice carries the difference.
     *
     * @throws TNT_INPUT_INVALID, TNT_OPERATOR_UNAVAILABLE
     */
    setPrice(input: SetPrice): Promise<OwnPrice>;
    /** Ends such a price at an instant. @throws TNT_NOT_FOUND, TNT_INPUT_INVALID */
    endPrice(id: string, at: Date): Promise<void>;
    /** Minor units that invoices are paid from first. With a request key a repeated call is one credit. @throws TNT_INPUT_INVALID */
    grantCredit(input: GrantCredit): Promise<Credit>;
    /** Takes back what is left of a credit. @throws TNT_NOT_FOUND */
    voidCredit(id: string): Promise<void>;
    /**
     * Closes the next period that is over, or the one named, and stores its invoice with a number. Called again for the
     * same period: the same invoice. Undefined when none is over.
     *
     * @throws TNT_NOT_FOUND, TNT_CONFLICT when a later period is closed
     */
    finalize(options?: { readonly period?: number }): Promise<Invoice | undefined>;
    /** The same for every organization: what a job runs each hour. It goes on where another run stopped. */
    finalizeDue(options?: FinalizeDue): Promise<FinalizedDue>;
    /** Takes an invoice back; what it billed is open again and comes with the next one. @throws TNT_NOT_FOUND, TNT_CONFLICT */
    void(idOrNumber: string, reason: string): Promise<Invoice>;
    /** Takes an amount off an invoice by a document of its own. @throws TNT_NOT_FOUND, TNT_CONFLICT when it is more than is left */
    creditNote(idOrNumber: string, input: CreditNote): Promise<Invoice>;
  };
}

export function createBilling(kernel: Kernel, crossing: Crossing, record: RecordEntry): Billing {
  const tenant = (): string => currentTenant().tenantId;
  const cross = <T>(reason: string, fn: (db: Kernel, tenantId: string) => Promise<T>): Promise<T> => {
    const tenantId = tenant();
    return crossing(reason, (db) => fn(db, tenantId));
  };
  return {
    ...createSubscriptions(kernel),
    preview: async (period) => billingWrite('preview', 'create', () => preview(kernel, tenant(), period, false)),
    async overage() {
      const running = await billingWrite('preview', 'create', () => preview(kernel, tenant(), undefined, false));
      return (await import('./overage.ts')).overageOf(running);
    },
    async invoices(options = {}) {
      const { limit, cursor } = parseInput(listInvoicesSchema, options);
      const before = cursor === undefined ? undefined : decodeTimeCursor('invoices', cursor);
      const rows = await listInvoices(kernel, tenant(), before, limit + 1);
      const page = pageOf(rows, limit, ({ position, invoice }) => encodeCursor('invoices', position, invoice.id));
      return { ...page, items: page.items.map(({ invoice }) => invoice) };
    },
    invoice: (idOrNumber) => selectInvoice(kernel, tenant(), idOrNumber),
    credits: () => listCredits(kernel, tenant()),
    prices: () => listPrices(kernel, tenant()),
    operator: {
      ...createOperatorSubscriptions(crossing),
      preview: (period) => cross('preview an invoice', (db, tenantId) => preview(db, tenantId, period, true)),
      async setPrice(input) {
        const values = parseInput(setPriceSchema, input);
        const price = 'metric' in values ? { ...values, basePrice: null } : { ...values, metric: null, terms: null };
        return cross('set a custom price', (db, tenantId) =>
          billingWrite('price', 'create', async () => stored(await insertPrice(db, tenantId, price))),
        );
      },
      async endPrice(id, at) {
        const done = await cross('end a custom price', (db, tenantId) =>
          billingWrite('price', 'update', () => endPrice(db, tenantId, id, at)),
        );
        if (!done) throw new TenantryError('TNT_NOT_FOUND', 'There is no such price.');
      },
      async grantCredit(input) {
        const { currency, requestKey, ...values } = parseInput(grantCreditSchema, input);
        return cross('grant a credit', (db, tenantId) =>
          billingWrite('credit', 'create', async () => {
            const known = currency ?? (await selectSubscription(db, tenantId))?.currency;
            if (known === undefined) {
              throw new TenantryError('TNT_INPUT_INVALID', 'currency: is needed where there is no subscription.');
            }
            const origin = { source: 'grant', sourceInvoiceId: null, requestKey: requestKey ?? null } as const;
            return insertCredit(db, tenantId, { ...values, ...origin, currency: known });
          }),
        );
      },
      async voidCredit(id) {
        const done = await cross('void a credit', (db, tenantId) => voidCredit(db, tenantId, id));
        if (!done) throw new TenantryError('TNT_NOT_FOUND', 'There is no such credit.');
      },
      finalize: ({ period } = {}) =>
        cross('finalize an invoice', (db, tenantId) =>
          billingWrite('invoice', 'create', () => finalize(db, tenantId, { period }, record)),
        ),
      async finalizeDue(options = {}) {
        const { by = new Date(), graceMinutes } = parseInput(finalizeDueSchema, options);
        return crossing('finalize the invoices that are due', (db) =>
          finalizeAll(db, new Date(by.getTime() - graceMinutes * 60_000), record),
        );
      },
      void: (idOrNumber, reason) =>
        cross('void an invoice', (db, tenantId) => voidInvoice(db, tenantId, idOrNumber, reason, record)),
      async creditNote(idOrNumber, input) {
        const values = parseInput(creditNoteSchema, input);
        return cross('issue a credit note', (db, tenantId) =>
          billingWrite('credit note', 'create', () => creditNote(db, tenantId, idOrNumber, values, record)),
        );
      },
    },
  };
}

async function finalizeAll(db: Kernel, by: Date, record: RecordEntry): Promise<FinalizedDue> {
  const issued: { tenantId: string; invoiceId: string; number: string }[] = [];
  const failed: { tenantId: string; error: unknown }[] = [];
  for (let after: string | null = null; ; ) {
    const due: { tenantId: string; id: string }[] = await selectDue(db, by, after, 100);
    for (const { tenantId, id } of due) {
      try {
        for (;;) {
          const invoice = await finalize(db, tenantId, { subscriptionId: id, by: by.getTime() }, record);
          if (invoice === undefined) break;
          issued.push({ tenantId, invoiceId: invoice.id, number: invoice.number });
        }
      } catch (error) {
        failed.push({ tenantId, error });
      }
    }
    const last = due.at(-1);
    if (last === undefined) return { issued, failed };
    after = last.id;
  }
}

function stored<T>(row: T | undefined): T {
  if (row === undefined) throw new TenantryError('TNT_INTERNAL', 'The price was not stored.');
  return row;
}
