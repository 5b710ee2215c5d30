import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditCreate } from '../../audit/index.ts';
import { withTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { lostRace } from './billing-error.ts';
import { insertCredit, insertReturns, insertUses, voidCreditsOf } from './queries/credits.ts';
import {
  closeUsage,
  emitEvent,
  insertInvoice,
  lockSubscription,
  selectCredited,
  selectInvoice,
  selectInvoiceByRequest,
  selectInvoiceOfPeriod,
  selectLastClosed,
  selectNow,
  settleCorrections,
  takeNumber,
  updateNextInvoice,
  updateVoid,
} from './queries/invoices.ts';
import {
  selectLastPeriod,
  selectPeriods,
  selectPhases,
  selectSubscription,
  type SubscriptionRow,
} from './queries/snapshot.ts';
import type { creditNoteSchema, Invoice } from './schema.ts';
import { readSnapshot } from './snapshot.ts';
import type { PlannedInvoice } from './types.ts';

/** Writes an audit entry in the transaction of what it tells of. */
export type RecordEntry = (entry: AuditCreate, tx: Kernel) => Promise<void>;

/** One snapshot for all that is read. Runs `fn` again when another transaction was faster. */
async function inSnapshot<T>(kernel: Kernel, fn: (tx: Kernel) => Promise<T>, mode = ''): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await kernel.transaction(async (tx) => {
        await tx.query(`set transaction isolation level repeatable read${mode}`);
        return fn(tx);
      });
    } catch (error) {
      if (attempt >= 50 || !lostRace(error)) throw error;
      await sleep(Math.random() * Math.min(10 * attempt, 200));
    }
  }
}

/** What closing a period would charge by what is known now. Without a number: the running period. */
export async function preview(
  kernel: Kernel,
  tenantId: string,
  period: number | undefined,
  asOperator: boolean,
): Promise<PlannedInvoice> {
  const { planInvoice } = await import('./plan-invoice.ts');
  return inSnapshot(
    kernel,
    async (tx) => {
      const subscription = await subscriptionOf(tx, tenantId);
      return planInvoice(
        await readSnapshot(tx, subscription, period ?? (await runningPeriod(tx, subscription)), asOperator),
      );
    },
    ', read only',
  );
}

async function runningPeriod(tx: Kernel, subscription: SubscriptionRow): Promise<number> {
  const last = await selectLastPeriod(tx, subscription);
  const now = await selectNow(tx, subscription.tenantId, subscription.id);
  const running = now.at < subscription.activatesAt ? 0 : now.period;
  return last === null ? running : Math.min(last, running);
}

async function subscriptionOf(tx: Kernel, tenantId: string, id?: string): Promise<SubscriptionRow> {
  const subscription = await selectSubscription(tx, tenantId, id);
  if (subscription !== undefined) return subscription;
  throw new TenantryError('TNT_NOT_FOUND', 'The organization has no subscription.', {
    hint: 'Start one with: t.billing.subscribe({ plan })',
  });
}

/** When a period is over: at its end, at the subscription's, or for -1 at the activation. */
async function closesAt(tx: Kernel, subscription: SubscriptionRow, period: number): Promise<number> {
  if (period < 0) return subscription.activatesAt;
  const [edges] = await selectPeriods(tx, subscription.tenantId, subscription.id, period, period);
  return Math.min(edges?.end ?? Number.POSITIVE_INFINITY, subscription.endsAt ?? Number.POSITIVE_INFINITY);
}

export interface FinalizeOptions {
  readonly subscriptionId?: string;
  /** Default: the one after the last that was closed. */
  readonly period?: number | undefined;
  /** Milliseconds since 1970: only a period that ended by then. Default: now. */
  readonly by?: number;
}

/**
 * Closes a period and stores its invoice; closed before, it is the invoice that stands. Undefined: no period is over.
 *
 * @throws TNT_NOT_FOUND, TNT_CONFLICT when a later period is closed
 */
export async function finalize(
  kernel: Kernel,
  tenantId: string,
  { subscriptionId, period, by }: FinalizeOptions,
  record: RecordEntry,
): Promise<Invoice | undefined> {
  const { planInvoice } = await import('./plan-invoice.ts');
  const subscription = await subscriptionOf(kernel, tenantId, subscriptionId);
  // Before the snapshot: what is counted from here on is a correction, and what was counted before is in it.
  const first = await nextToClose(kernel, subscription, period, by);
  if (typeof first === 'number')
    await closeUsage(kernel, tenantId, new Date(await closesAt(kernel, subscription, first)));
  return inSnapshot(kernel, async (tx) => {
    await lockSubscription(tx, tenantId, subscription.id);
    const locked = await subscriptionOf(tx, tenantId, subscription.id);
    const next = await nextToClose(tx, locked, period, by);
    if (typeof next !== 'number') return next;
    const planned = planInvoice(await readSnapshot(tx, locked, next, true));
    const invoice = await store(tx, locked, planned, record);
    const last = await selectLastPeriod(tx, locked);
    const following = last !== null && next >= last ? null : new Date(await closesAt(tx, locked, next + 1));
    await updateNextInvoice(tx, tenantId, locked.id, following);
    return invoice;
  });
}

/** The period whose turn it is, the invoice that stands for it already, or undefined when none is over. */
async function nextToClose(
  tx: Kernel,
  subscription: SubscriptionRow,
  period: number | undefined,
  by: number | undefined,
): Promise<number | Invoice | undefined> {
  const { tenantId, id } = subscription;
  const now = await selectNow(tx, tenantId, id);
  const last = await selectLastPeriod(tx, subscription);
  const closed = await selectLastClosed(tx, tenantId, id);
  if (period !== undefined) {
    const standing = await selectInvoiceOfPeriod(tx, tenantId, id, period);
    if (standing !== null) return standing;
    if (closed !== null && closed > period) throw closedLater(period, closed);
  }
  const next = period ?? (closed === null ? await firstPeriod(tx, subscription) : closed + 1);
  const over = period === undefined && last !== null && next > last;
  const at = over ? null : await closesAt(tx, subscription, next);
  if (at !== null && at <= Math.min(by ?? now.at, now.at)) return next;
  await updateNextInvoice(tx, tenantId, id, at === null ? null : new Date(at));
  return undefined;
}

/** Base fees in advance are due at the activation; without any, the first invoice is that of the first period. */
async function firstPeriod(tx: Kernel, subscription: SubscriptionRow): Promise<number> {
  const phases = await selectPhases(tx, subscription.tenantId, subscription.id);
  const begun = phases.findLast(({ startsAt }) => startsAt <= subscription.activatesAt);
  return begun?.plan.baseTiming === 'advance' ? -1 : 0;
}

const closedLater = (period: number, closed: number): TenantryError =>
  new TenantryError(
    'TNT_CONFLICT',
    `Period ${closed} is closed already, and with it what was open of period ${period}.`,
    {
      details: { period, closed },
      hint: 'What is still open comes with the next invoice.',
    },
  );

async function store(
  tx: Kernel,
  { tenantId, id: subscriptionId, currency }: SubscriptionRow,
  planned: PlannedInvoice,
  record: RecordEntry,
): Promise<Invoice> {
  const number = await takeNumber(tx, tenantId, 'invoice');
  const id = await insertInvoice(tx, tenantId, { kind: 'invoice', number, subscriptionId }, planned);
  const uses = planned.lines.flatMap(({ details, amount }) =>
    typeof details['creditId'] === 'string' ? [{ creditId: details['creditId'], amount }] : [],
  );
  if (uses.length > 0) await insertUses(tx, tenantId, id, uses);
  for (const { kind, amount } of planned.lines) {
    if (kind !== 'carried') continue;
    const reason = `Carried forward from ${number}`;
    const credit = { currency, amount, priority: 0, expiresAt: null, source: 'carried', reason } as const;
    await insertCredit(tx, tenantId, { ...credit, sourceInvoiceId: id, requestKey: `carried:${id}` });
  }
  await settleCorrections(tx, tenantId, id, planned.periodEnd);
  return announced(tx, tenantId, id, 'invoice.finalized', record);
}

async function announced(
  tx: Kernel,
  tenantId: string,
  id: string,
  topic: 'invoice.finalized' | 'invoice.voided' | 'credit_note.issued',
  record: RecordEntry,
): Promise<Invoice> {
  const invoice = await selectInvoice(tx, tenantId, id);
  if (invoice === null) throw new TenantryError('TNT_INTERNAL', 'The invoice was not stored.');
  const { number, total, currency } = invoice;
  await emitEvent(tx, tenantId, topic, { invoiceId: id, number, total, currency }, `${topic}:${id}`);
  await withTenant({ tenantId }, () => record({ action: topic, details: { number, total, currency } }, tx));
  return invoice;
}

const notFound = (): TenantryError => new TenantryError('TNT_NOT_FOUND', 'There is no such invoice.');

/**
 * Takes an invoice or credit note back: what it billed is open again, the credits it used are whole again.
 *
 * @throws TNT_NOT_FOUND, TNT_CONFLICT when a credit that came from it was used, or a credit note stands on it
 */
export async function voidInvoice(
  kernel: Kernel,
  tenantId: string,
  idOrNumber: string,
  reason: string,
  record: RecordEntry,
): Promise<Invoice> {
  return inSnapshot(kernel, async (tx) => {
    const invoice = await selectInvoice(tx, tenantId, idOrNumber);
    if (invoice === null) throw notFound();
    if (invoice.status === 'void') return invoice;
    await lockSubscription(tx, tenantId, invoice.subscriptionId);
    if ((await selectCredited(tx, tenantId, invoice.id)) !== 0) {
      throw new TenantryError('TNT_CONFLICT', 'A credit note stands on the invoice.', {
        hint: 'Void the credit note first.',
      });
    }
    if (!(await voidCreditsOf(tx, tenantId, invoice.id))) {
      throw new TenantryError('TNT_CONFLICT', 'A credit that came from the invoice was used already.', {
        hint: 'Void the later invoice first, or issue a credit note.',
      });
    }
    await insertReturns(tx, tenantId, invoice.id);
    await updateVoid(tx, tenantId, invoice.id, reason);
    // Not an instant in the future: what it billed is due again.
    if (invoice.kind === 'invoice') await updateNextInvoice(tx, tenantId, invoice.subscriptionId, invoice.periodEnd);
    return announced(tx, tenantId, invoice.id, 'invoice.voided', record);
  });
}

/**
 * Takes an amount off an invoice that stands, by a document of its own.
 *
 * @throws TNT_NOT_FOUND, TNT_CONFLICT when it is more than what is left of the invoice
 */
export async function creditNote(
  kernel: Kernel,
  tenantId: string,
  idOrNumber: string,
  { amount, reason, settle, requestKey }: (typeof creditNoteSchema)['_output'],
  record: RecordEntry,
): Promise<Invoice> {
  return inSnapshot(kernel, async (tx) => {
    const known = requestKey === undefined ? null : await selectInvoiceByRequest(tx, tenantId, requestKey);
    if (known !== null) return known;
    const invoice = await selectInvoice(tx, tenantId, idOrNumber);
    if (invoice === null || invoice.kind !== 'invoice' || invoice.status === 'void') throw notFound();
    await lockSubscription(tx, tenantId, invoice.subscriptionId);
    const left =
      (settle === 'refund' ? invoice.total : invoice.subtotal) + (await selectCredited(tx, tenantId, invoice.id));
    if (amount > left) {
      throw new TenantryError('TNT_CONFLICT', 'amount: is more than what is left of the invoice.', {
        details: { left: Math.max(0, left) },
        hint: 'Pass at most what is left, in minor units.',
      });
    }
    const number = await takeNumber(tx, tenantId, 'credit_note');
    const line = {
      kind: 'credit_note',
      charge: 'credit_note',
      periodIndex: null,
      serviceStart: invoice.periodStart,
      serviceEnd: invoice.periodEnd,
      description: reason,
      quantity: null,
      exact: String(-amount),
      amount: -amount,
      details: { invoice: invoice.number, settle },
    } as const;
    const head = { kind: 'credit_note', number, subscriptionId: invoice.subscriptionId, reason, requestKey } as const;
    const id = await insertInvoice(
      tx,
      tenantId,
      { ...head, correctsInvoiceId: invoice.id },
      { ...invoice, periodIndex: 0, lines: [line], subtotal: -amount, credits: 0, total: -amount },
    );
    if (settle === 'credit') {
      const { currency } = invoice;
      const credit = { currency, amount, priority: 0, expiresAt: null, source: 'credit_note', reason } as const;
      await insertCredit(tx, tenantId, { ...credit, sourceInvoiceId: id, requestKey: `credit_note:${id}` });
    }
    return announced(tx, tenantId, id, 'credit_note.issued', record);
  });
}
