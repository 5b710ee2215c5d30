import { Stripe } from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Invoice } from '../../../src/metering/billing/index.ts';
import { createStripePush, type StripePush } from '../../../src/metering/stripe/index.ts';
import { billingFixture, type Customer, newCustomer } from '../billing/fixture.ts';
import { type Fault, type StripeServer, startStripeServer } from './stripe-server.ts';

const f = billingFixture();
let server: StripeServer;
let push: StripePush;
const at = (text: string): Date => new Date(text);
const clientOf = (port: number): Stripe =>
  new Stripe('sk_test_local', { host: '127.0.0.1', port, protocol: 'http', telemetry: false });

beforeAll(async () => {
  server = await startStripeServer();
  push = createStripePush(f.t, {
    stripe: clientOf(server.port),
    retries: { attempts: 8, delayMs: 1, timeoutMs: 150 },
    meters: { conversations: { eventName: 'conversations', meterId: 'mtr_1' } },
  });
});
afterAll(() => server.close());
beforeEach(() => {
  server.failWith(() => undefined);
  server.requests.length = 0;
});

/** An organization with one invoice of 199.00 + 50.05, paid by a credit of 10.00. */
async function billed(): Promise<{ customer: Customer; invoice: Invoice }> {
  const customer = await newCustomer(f);
  const invoice = await customer.as(async () => {
    const { billing, usage } = f.t;
    await billing.operator.subscribe({ plan: 'support-pro', startsAt: at('2026-01-01T00:00:00Z'), trialDays: 0 });
    await usage.record({ id: 'e', metric: 'conversations', quantity: 6001, occurredAt: at('2026-01-10T12:00:00Z') });
    await billing.operator.grantCredit({ amount: 1000, reason: 'Welcome' });
    return (await billing.operator.finalize())!;
  });
  return { customer, invoice };
}

/** What Stripe has of an invoice. */
const atStripe = (invoice: Invoice) => {
  const found = server.invoices.filter(
    (each) => (each['metadata'] as Record<string, string>)['tenantry_invoice'] === invoice.id,
  );
  const items = server.items.filter((item) => found.some(({ id }) => id === item['invoice']));
  return {
    status: found.map((each) => each['status']),
    amounts: items.map((item) => Number(item['amount'])).sort((a, b) => b - a),
  };
};
const whole = { status: ['open'], amounts: [19900, 5005, -1000] };

describe('C4: invoices are pushed to Stripe', () => {
  it('once, with their lines, and finalized; pushed again nothing is sent', async () => {
    const { customer, invoice } = await billed();
    await push.invoice(customer.tenantId, invoice.number);
    expect(atStripe(invoice)).toEqual(whole);
    expect(
      server.customers.filter(
        (c) => (c['metadata'] as Record<string, string>)['tenantry_tenant'] === customer.tenantId,
      ),
    ).toHaveLength(1);
    const sent = server.requests.filter(({ method }) => method === 'POST');
    expect(sent.every(({ key }) => key?.startsWith('tenantry-'))).toBe(true);
    expect(sent.find(({ path }) => path === '/v1/invoices')?.params).toMatchObject({
      currency: 'usd',
      auto_advance: 'false',
    });
    server.requests.length = 0;
    await push.invoice(customer.tenantId, invoice.id);
    expect(server.requests.filter(({ method }) => method === 'POST')).toEqual([]);
    const again = await push.invoices(customer.tenantId);
    expect(again).toEqual({ pushed: [], failed: [] });
  });

  const faults: Fault[] = ['conflict', 'limited', 'failed', 'failed-late', 'lost', 'silent'];
  it.each(faults)('nothing is made twice when every request first fails: %s', async (fault) => {
    const { customer, invoice } = await billed();
    const seen = new Set<string>();
    server.failWith((path) => {
      const first = !seen.has(path);
      seen.add(path);
      return first ? fault : undefined;
    });
    expect(await push.invoices(customer.tenantId)).toMatchObject({ failed: [] });
    expect(atStripe(invoice)).toEqual(whole);
  });

  it('two pushers at once make one', async () => {
    const { customer, invoice } = await billed();
    await Promise.all(Array.from({ length: 4 }, () => push.invoice(customer.tenantId, invoice.id)));
    expect(atStripe(invoice)).toEqual(whole);
  });

  it('a push that was cut off for more than a day looks at what there is before it sends again', async () => {
    const { customer, invoice } = await billed();
    // The invoice and a line were made, and their answers lost: all tries time out.
    server.failWith((path) => (path === '/v1/invoiceitems' ? 'silent' : undefined));
    await expect(push.invoice(customer.tenantId, invoice.id)).rejects.toMatchObject({ code: 'TNT_STRIPE_UNAVAILABLE' });
    server.failWith(() => undefined);
    server.forgetKeys();
    await f.db.query(
      "update tenantry.stripe_steps set attempted_at = attempted_at - interval '25 hours' where tenant_id = $1",
      [customer.tenantId],
    );
    await push.invoice(customer.tenantId, invoice.id);
    expect(atStripe(invoice)).toEqual(whole);
  });

  it('lines that do not belong there leave it a draft', async () => {
    const { customer, invoice } = await billed();
    server.failWith((path) => (path.endsWith('/finalize') ? 'limited' : undefined));
    await expect(push.invoice(customer.tenantId, invoice.id)).rejects.toMatchObject({ code: 'TNT_STRIPE_UNAVAILABLE' });
    server.failWith(() => undefined);
    const [draft] = server.invoices.filter(
      (each) => (each['metadata'] as Record<string, string>)['tenantry_invoice'] === invoice.id,
    );
    server.items.push({ id: 'ii_x', object: 'invoiceitem', created: 0, invoice: draft!.id, amount: '1' });
    await expect(push.invoice(customer.tenantId, invoice.id)).rejects.toMatchObject({
      code: 'TNT_STRIPE_MISMATCH',
      details: { expected: 23905, found: 23906 },
    });
    expect(draft!['status']).toBe('draft');
    server.items.pop();
    await push.invoice(customer.tenantId, invoice.id);
    expect(atStripe(invoice)).toEqual(whole);
  });

  it('voided here, it is voided there; a refund is made there, a credit is not', async () => {
    const { customer, invoice } = await billed();
    await push.invoice(customer.tenantId, invoice.id);
    const { operator } = f.t.billing;
    const [refund, credit] = await customer.as(async () => [
      await operator.creditNote(invoice.id, { amount: 500, reason: 'Outage', settle: 'refund' }),
      await operator.creditNote(invoice.id, { amount: 300, reason: 'Sorry' }),
    ]);
    expect((await push.invoices(customer.tenantId)).failed).toEqual([]);
    expect(
      server.notes.filter((note) => (note['metadata'] as Record<string, string>)['tenantry_invoice'] === refund.id),
    ).toMatchObject([{ amount: '500', memo: 'Outage' }]);
    await customer.as(async () => {
      await operator.void(credit.id, 'mistake');
      await operator.void(refund.id, 'mistake');
      await operator.void(invoice.id, 'wrong customer');
    });
    expect((await push.invoices(customer.tenantId)).failed).toEqual([]);
    expect(atStripe(invoice).status).toEqual(['void']);
  });

  it('an error names what Stripe said, and no key', async () => {
    const { customer, invoice } = await billed();
    const wrong = createStripePush(f.t, {
      stripe: new Stripe('sk_test_wrong_secret', {
        host: '127.0.0.1',
        port: server.port,
        protocol: 'http',
        telemetry: false,
      }),
      retries: { attempts: 2, delayMs: 1 },
    });
    const error = await wrong.invoice(customer.tenantId, invoice.id).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'TNT_STRIPE_REFUSED', details: { statusCode: 401 } });
    expect(JSON.stringify([error, String(error)])).not.toContain('sk_test');
  });
});

describe('C4: usage is pushed to Stripe', () => {
  const today = new Date(Date.now() - 24 * 3_600_000);
  const eventsOf = (customer: string) =>
    server.events.filter((event) => event.customer === customer).map(({ value }) => value);
  async function using(quantity: number): Promise<{ customer: Customer; id: string }> {
    const customer = await newCustomer(f);
    const id = `cus_${customer.tenantId}`;
    await push.linkCustomer(customer.tenantId, id);
    await customer.as(async () => {
      await f.t.billing.operator.subscribe({ plan: 'support-pro', startsAt: at('2026-01-01T00:00:00Z'), trialDays: 0 });
      await f.t.usage.record({ id: 'e', metric: 'conversations', quantity, occurredAt: today });
    });
    return { customer, id };
  }

  it.each(['conflict', 'limited', 'failed', 'failed-late', 'lost', 'silent'] as Fault[])(
    'once, also when the first two requests fail: %s',
    async (fault) => {
      const { customer, id } = await using(10);
      server.fail(fault, fault);
      expect(await push.usage(customer.tenantId)).toMatchObject({
        pushed: [{ tenantId: customer.tenantId }],
        failed: [],
      });
      expect(eventsOf(id)).toEqual([10]);
      expect(await push.usage(customer.tenantId)).toEqual({ pushed: [], failed: [] });
      await customer.as(() =>
        f.t.usage.record({ id: 'late', metric: 'conversations', quantity: 5, occurredAt: today }),
      );
      await push.usage(customer.tenantId);
      expect(eventsOf(id)).toEqual([10, 5]);
    },
  );

  it('cut off for more than a day, the sums of the meter tell what arrived', async () => {
    const { customer, id } = await using(10);
    for (const arrived of [true, false]) {
      server.failWith(() => (arrived ? 'silent' : 'limited'));
      expect((await push.usage(customer.tenantId)).failed).toMatchObject([
        { error: { code: 'TNT_STRIPE_UNAVAILABLE' } },
      ]);
      server.failWith(() => undefined);
      server.forgetKeys();
      await f.db.query(
        "update tenantry.stripe_usage set pending_since = pending_since - interval '25 hours' where tenant_id = $1",
        [customer.tenantId],
      );
      expect((await push.usage(customer.tenantId)).failed).toEqual([]);
      expect(eventsOf(id)).toEqual(arrived ? [10] : [10, 5]);
      await customer.as(() =>
        f.t.usage.record({ id: `l${arrived}`, metric: 'conversations', quantity: 5, occurredAt: today }),
      );
    }
  });

  it('of the trial nothing is pushed', async () => {
    const customer = await newCustomer(f);
    await push.linkCustomer(customer.tenantId, `cus_trial_${customer.tenantId}`);
    await customer.as(async () => {
      await f.t.billing.operator.subscribe({
        plan: 'support-pro',
        startsAt: new Date(Date.now() - 3 * 24 * 3_600_000),
      });
      await f.t.usage.record({ id: 'e', metric: 'conversations', quantity: 3, occurredAt: today });
    });
    expect(await push.usage(customer.tenantId)).toEqual({ pushed: [], failed: [] });
  });
});
