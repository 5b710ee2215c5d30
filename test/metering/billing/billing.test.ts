import { describe, expect, it } from 'vitest';
import { createTenantry } from '../../../src/tenantry.ts';
import { billingFixture, type Customer, newCustomer } from './fixture.ts';

const f = billingFixture();
const at = (text: string): Date => new Date(text);
let serial = 0;
const use = (c: Customer, occurredAt: string | Date, quantity: number | string, metric = 'conversations') =>
  c.as(() => f.t.usage.record({ id: `e${(serial += 1)}`, metric, quantity, occurredAt: new Date(occurredAt) }));
const subscribed = async (startsAt = '2026-01-01T00:00:00Z', more: object = {}): Promise<Customer> => {
  const c = await newCustomer(f);
  const start = { plan: 'support-pro', startsAt: at(startsAt), trialDays: 0, ...more };
  await c.as(() => f.t.billing.operator.subscribe(start));
  return c;
};
const finalize = (c: Customer, period?: number) =>
  c.as(async () => (await f.t.billing.operator.finalize(period === undefined ? {} : { period }))!);
const shape = (invoice: { lines: readonly { kind: string; periodIndex: number | null; amount: number }[] }) =>
  invoice.lines.map(({ kind, periodIndex, amount }) => [kind, periodIndex, amount]);

describe('C4: a month is billed', () => {
  it('preview = charge; a late event comes as a correction line; again: the same invoice', async () => {
    const c = await subscribed('2025-12-31T23:00:00Z', { timeZone: 'Europe/Berlin' });
    await use(c, '2026-01-10T12:00:00Z', 6000);
    await use(c, '2026-01-31T22:59:59.999Z', 1);
    await use(c, '2026-01-31T23:00:00Z', 7);
    const preview = await c.as(() => f.t.billing.preview(0));
    const invoice = await finalize(c);
    // base 199.00; 6001 conversations - 5000 included = 1001 × 0.05 = 50.05
    expect(shape(invoice)).toEqual([
      ['base', 0, 19900],
      ['usage', 0, 5005],
    ]);
    expect(invoice.total).toBe(24905);
    expect(invoice).toMatchObject({ ...preview });
    expect(await c.as(() => f.t.billing.operator.preview(0))).toMatchObject({ lines: [], total: 0 });
    expect(await finalize(c, 0)).toEqual(invoice);
    await use(c, '2026-01-05T00:00:00Z', 10);
    const next = await finalize(c);
    // February: 7 conversations are included; January again: 6011 - 5000 = 1011 × 0.05 = 50.55, 50.05 billed
    expect(shape(next)).toEqual([
      ['correction', 0, 50],
      ['base', 1, 19900],
      ['usage', 1, 0],
    ]);
    expect([invoice.number, next.number].map((n) => n.slice(-6))).toEqual(['000001', '000002']);
    const open = await f.db.query(
      'select 1 from tenantry.usage_corrections where tenant_id = $1 and settled_at is null',
      [c.tenantId],
    );
    expect(open).toEqual([]);
    expect(await c.as(() => f.t.billing.operator.finalize({ period: 99 }))).toBeUndefined();
  });

  it('an event taken back or amended after the bill is corrected; splitting an event changes nothing', async () => {
    const [one, many] = [await subscribed(), await subscribed()];
    await use(one, '2026-01-10T00:00:00Z', 5010);
    for (let i = 0; i < 10; i += 1) await use(many, `2026-01-${10 + i}T00:00:00Z`, 501);
    const [a, b] = [await finalize(one), await finalize(many)];
    expect(shape(a)).toEqual(shape(b));
    expect(a.total).toBe(19950);
    await many.as(async () => {
      const [event] = await f.db.query<{ id: string }>(
        'select id from tenantry.usage_events where tenant_id = $1 order by id limit 1',
        [many.tenantId],
      );
      await f.t.usage.retract({ id: 'r', eventId: event!.id, reason: 'double' });
    });
    // 4509 are included: -0.50
    expect(shape(await finalize(many))[0]).toEqual(['correction', 0, -50]);
  });

  it('a price changed for the past is billed anew once; twenty at once make one invoice', async () => {
    const c = await subscribed();
    await use(c, '2026-01-10T00:00:00Z', 6000);
    expect((await finalize(c)).total).toBe(24900);
    await c.as(() =>
      f.t.billing.operator.setPrice({
        metric: 'conversations',
        terms: { included: 5000, model: 'graduated', tiers: [{ upTo: null, unit: '0.04' }] },
        effectiveFrom: at('2026-01-01T00:00:00Z'),
        reason: 'contract',
      }),
    );
    const all = await Promise.all(Array.from({ length: 20 }, () => finalize(c, 1)));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    // 1000 × 0.04 = 40.00 instead of 50.00
    expect(shape(all[0]!)).toEqual([
      ['correction', 0, -1000],
      ['base', 1, 19900],
      ['usage', 1, 0],
    ]);
    expect(shape(await finalize(c))).toEqual([
      ['base', 2, 19900],
      ['usage', 2, 0],
    ]);
    const numbers = await f.db.query<{ n: string }>(
      'select right(number, 6) as n from tenantry.invoices where tenant_id = $1 order by 1',
      [c.tenantId],
    );
    expect(numbers.map(({ n }) => n)).toEqual(['000001', '000002', '000003']);
  });

  it('an invoice that fails on its way takes no number', async () => {
    const c = await subscribed();
    const broken = createTenantry({ pool: f.pool, operator: f.operator });
    await f.db.query(
      `create function public.refuse_invoice() returns trigger language plpgsql as 'begin raise exception ''disk on fire''; end';`,
    );
    await f.db.query(
      `create trigger refuse before insert on tenantry.invoice_lines for each row when (new.tenant_id = '${c.tenantId}') execute function public.refuse_invoice()`,
    );
    await expect(c.as(() => broken.billing.operator.finalize())).rejects.toThrow('disk on fire');
    await f.db.query('drop trigger refuse on tenantry.invoice_lines');
    expect((await finalize(c)).number).toMatch(/-000001$/);
    await broken.close();
  });

  it('finalizeDue closes what is over for every organization, and nothing twice', async () => {
    const [a, b] = [await subscribed('2026-08-01T00:00:00Z'), await subscribed('2026-09-15T10:00:00Z')];
    const ours = ({ issued }: { issued: readonly { tenantId: string }[] }) =>
      [a, b].map((c) => issued.filter(({ tenantId }) => tenantId === c.tenantId).length);
    const by = at('2026-10-20T00:00:00Z');
    const runs = await Promise.all([
      f.t.billing.operator.finalizeDue({ by }),
      f.t.billing.operator.finalizeDue({ by }),
    ]);
    expect(runs.flatMap(({ failed }) => failed)).toEqual([]);
    // a: August, September; b: 15 September to 15 October
    const counted = await Promise.all(
      [a, b].map((c) => f.db.query('select 1 from tenantry.invoices where tenant_id = $1', [c.tenantId])),
    );
    expect(counted.map((rows) => rows.length)).toEqual([2, 1]);
    expect(ours(await f.t.billing.operator.finalizeDue({ by }))).toEqual([0, 0]);
    expect(ours(await f.t.billing.operator.finalizeDue({ by: at('2026-11-01T00:30:00Z') }))).toEqual([0, 0]);
    expect(ours(await f.t.billing.operator.finalizeDue({ by: at('2026-11-01T01:00:00Z') }))).toEqual([1, 0]);
  });

  it('tells webhooks and the audit log, in the same transaction', async () => {
    const c = await subscribed();
    const { id, number } = await finalize(c);
    const events = await f.db.query('select topic, payload from tenantry.outbox where tenant_id = $1 and key = $2', [
      c.tenantId,
      `invoice.finalized:${id}`,
    ]);
    expect(events).toMatchObject([
      { topic: 'invoice.finalized', payload: { invoiceId: id, number, total: 19900, currency: 'USD' } },
    ]);
    const { items } = await c.as(() => f.t.audit.list());
    expect(items.find(({ action }) => action === 'invoice.finalized')?.details).toEqual({
      number,
      total: 19900,
      currency: 'USD',
    });
    const [crossing] = await f.db.query<{ reason: string }>(
      "select reason from tenantry.operator_log where reason = 'finalize an invoice' limit 1",
    );
    expect(crossing).toBeDefined();
  });
});

describe('C3: overage of the running period', () => {
  it('is counted and priced', async () => {
    const now = new Date();
    const c = await subscribed(new Date(now.getTime() - 5 * 86_400_000).toISOString());
    await use(c, new Date(now.getTime() - 86_400_000), 5100);
    expect(await c.as(() => f.t.billing.overage())).toEqual([
      { metric: 'conversations', quantity: '5100', over: '100', cost: 500, currency: 'USD' },
    ]);
    expect(await f.db.query('select * from tenantry.plan_limit($1, $2)', [c.tenantId, 'conversations'])).toEqual([
      { included: '5000', hard: false, period: 'month' },
    ]);
  });
});

describe('C4: credits, voids, credit notes', () => {
  it('a credit pays first, once, and comes back with a void; the period is billed anew', async () => {
    const c = await subscribed();
    const grant = { amount: 25_000, reason: 'Welcome', requestKey: 'w' };
    const [a, b] = await c.as(async () => [
      await f.t.billing.operator.grantCredit(grant),
      await f.t.billing.operator.grantCredit(grant),
    ]);
    expect(a.id).toBe(b.id);
    const first = await finalize(c);
    expect([first.subtotal, first.credits, first.total]).toEqual([19900, -19900, 0]);
    expect(await c.as(() => f.t.billing.credits())).toMatchObject([{ remaining: 5100 }]);
    const second = await finalize(c);
    expect([second.credits, second.total]).toEqual([-5100, 14800]);
    const voided = await c.as(() => f.t.billing.operator.void(second.number, 'wrong address'));
    expect(voided).toMatchObject({ status: 'void', reason: 'wrong address' });
    expect(await c.as(() => f.t.billing.operator.void(second.id, 'again'))).toEqual(voided);
    expect(await c.as(() => f.t.billing.credits())).toMatchObject([{ remaining: 5100 }]);
    const anew = await finalize(c);
    expect(shape(anew)).toEqual(shape(second));
    expect(anew.number).toMatch(/-000003$/);
    expect((await c.as(() => f.t.billing.invoices({ limit: 2 }))).items.map(({ number }) => number)).toEqual([
      anew.number,
      second.number,
    ]);
  });

  it('what is too much is carried forward, and pays the next invoice', async () => {
    const c = await subscribed();
    await use(c, '2026-01-10T00:00:00Z', 15000);
    // 5000 × 0.05 + 5000 × 0.03 = 400.00
    expect((await finalize(c)).total).toBe(59900);
    await c.as(() => f.t.billing.operator.setPrice({ basePrice: '0', effectiveFrom: at('2026-01-01T00:00:00Z') }));
    const second = await finalize(c);
    expect(shape(second)).toEqual([
      ['correction', 0, -19900],
      ['base', 1, 0],
      ['usage', 1, 0],
      ['carried', null, 19900],
    ]);
    expect(second.total).toBe(0);
    await use(c, '2026-03-10T00:00:00Z', 6000);
    const third = await finalize(c);
    expect([third.subtotal, third.total]).toEqual([5000, 0]);
    await expect(c.as(() => f.t.billing.operator.void(second.id, 'x'))).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
  });

  it('a credit note takes off at most what is left, has its own number, and is one when asked twice', async () => {
    const c = await subscribed();
    const invoice = await finalize(c);
    const { operator } = f.t.billing;
    const input = { amount: 900, reason: 'Outage', requestKey: 'outage' };
    const [note, again] = await c.as(async () => [
      await operator.creditNote(invoice.id, input),
      await operator.creditNote(invoice.id, input),
    ]);
    expect(note).toMatchObject({ kind: 'credit_note', total: -900, correctsInvoiceId: invoice.id });
    expect(again).toEqual(note);
    expect(note.number).toMatch(/^CN-\d+-000001$/);
    await c.as(async () => {
      await expect(operator.creditNote(invoice.id, { amount: 19001, reason: 'x' })).rejects.toMatchObject({
        code: 'TNT_CONFLICT',
        details: { left: 19000 },
      });
      await expect(operator.creditNote('nope', { amount: 1, reason: 'x' })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(operator.void(invoice.id, 'x')).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await operator.void(note.id, 'mistake');
      expect((await f.t.billing.credits()).filter(({ voidedAt }) => voidedAt === null)).toEqual([]);
      expect(await operator.void(invoice.id, 'x')).toMatchObject({ status: 'void' });
      await expect(operator.void('nope', 'x')).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    });
  });

  it('stored invoices do not change, not even by the owner', async () => {
    const c = await subscribed();
    const { id } = await finalize(c);
    for (const statement of [
      'update tenantry.invoices set total = 1, subtotal = 1 where id = $1',
      'delete from tenantry.invoices where id = $1',
      'update tenantry.invoice_lines set amount = 1 where invoice_id = $1',
      'delete from tenantry.invoice_lines where invoice_id = $1',
    ]) {
      await expect(f.db.query(statement, [id])).rejects.toMatchObject({ code: '42501' });
    }
    await f.db.query('delete from tenantry.organizations where id = $1', [c.tenantId]);
    expect(await f.db.query('select 1 from tenantry.invoices where id = $1', [id])).toEqual([]);
  });
});

describe('C4: who may', () => {
  it('a member without billing.read sees no bill; nobody in the organization sets prices or grants credits', async () => {
    const [c, other] = [await subscribed(), await subscribed()];
    const { id } = await finalize(c);
    await c.asMember(async () => {
      expect((await f.t.billing.invoices()).items).toEqual([]);
      expect(await f.t.billing.invoice(id)).toBeNull();
      expect(await f.t.billing.credits()).toEqual([]);
      expect(await f.t.billing.prices()).toEqual([]);
      expect(await f.t.billing.subscription()).toMatchObject({ status: 'active' });
      await expect(f.t.billing.preview()).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.t.billing.changePlan({ plan: 'support-basic' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
    await other.as(async () => expect(await f.t.billing.invoice(id)).toBeNull());
    await c.as(async () => {
      for (const statement of [
        "insert into tenantry.credits (tenant_id, currency, amount, reason) values ($1, 'USD', 99999, 'me')",
        "insert into tenantry.custom_prices (tenant_id, effective_from, base_price) values ($1, '2020-01-01', 0)",
        'update tenantry.subscriptions set ends_at = starts_at where tenant_id = $1',
        "insert into tenantry.subscription_phases (tenant_id, subscription_id, starts_at, plan_key, plan_version) select tenant_id, id, starts_at, 'memory-trial', 1 from tenantry.subscriptions where tenant_id = $1",
        "update tenantry.invoices set status = 'void', voided_at = now() where tenant_id = $1",
        "select tenantry.start_subscription($1, 'support-enterprise', 1, null, null, 'calendar', 700, true)",
        "select tenantry.change_subscription_plan($1, 'memory-trial', 1, null, '2020-01-01', null, true)",
        'select * from tenantry.usage_of_ranges($1, array[]::text[], array[]::timestamptz[], array[]::timestamptz[])',
        'select * from tenantry.stripe_steps where tenant_id = $1',
      ]) {
        await expect(f.t.kernel.query(statement, [c.tenantId]), statement).rejects.toMatchObject({ code: '42501' });
      }
    });
    const withoutOperator = createTenantry({ pool: f.pool });
    await expect(c.as(() => withoutOperator.billing.operator.finalize())).rejects.toMatchObject({
      code: 'TNT_OPERATOR_UNAVAILABLE',
    });
    await withoutOperator.close();
  });

  it('F4: lists and look-ups go by an index', async () => {
    const c = await subscribed();
    const client = await f.pool.connect();
    try {
      await c.as(async () => {
        await client.query('begin');
        await client.query('set local enable_seqscan = off');
        for (const [statement, index] of [
          [
            'select 1 from tenantry.invoices i where i.tenant_id = $1 order by i.issued_at desc, i.id desc limit 10',
            'invoices_issued_idx',
          ],
          ['select 1 from tenantry.invoice_lines l where l.tenant_id = $1 and l.invoice_id = $1', 'invoice_lines_pkey'],
          [
            'select 1 from tenantry.subscriptions s where s.tenant_id = $1 order by s.starts_at desc limit 1',
            'subscriptions_starts_idx',
          ],
          ['select 1 from tenantry.credits c where c.tenant_id = $1', 'credits_'],
          ['select 1 from tenantry.custom_prices c where c.tenant_id = $1', 'custom_prices_'],
        ] as const) {
          const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${statement}`, [c.tenantId]);
          expect(rows.map((row) => row['QUERY PLAN']).join('\n'), statement).toContain(index);
        }
        await client.query('rollback');
      });
    } finally {
      client.release();
    }
  });
});
