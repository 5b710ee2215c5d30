import { describe, expect, it } from 'vitest';
import {
  decimalAmount,
  invoiceCsv,
  invoiceDocument,
  invoiceHtml,
  minorDigits,
} from '../../../src/metering/billing/index.ts';
import { planInvoice } from '../../../src/metering/billing/plan-invoice.ts';
import { stripeAmount } from '../../../src/metering/stripe/amounts.ts';
import { credit, plan, snapshotOf, terms } from './snapshots.ts';

const planned = planInvoice(
  snapshotOf({
    edges: ['2026-01-31T23:00:00Z', '2026-02-28T23:00:00Z'],
    phases: [
      [
        '2026-01-31T23:00:00Z',
        plan('<b>"Pro" & Co</b>', '49', {
          calls: terms({
            included: '1000',
            tiers: [
              { upTo: '1000', unit: '0.05' },
              { upTo: null, unit: '0.0025', flat: '1' },
            ],
          }),
        }),
      ],
    ],
    uses: [['2026-02-10T00:00:00Z', 3000]],
    credits: [credit('c', 500, { reason: '=1+1' })],
  }),
);
const invoice = {
  ...planned,
  timeZone: 'Europe/Berlin',
  id: 'i',
  kind: 'invoice' as const,
  number: 'INV-7-000042',
  status: 'final' as const,
  subscriptionId: 's',
  correctsInvoiceId: null,
  reason: null,
  issuedAt: new Date('2026-03-01T01:00:00Z'),
  voidedAt: null,
};

describe('C4: exports', () => {
  it('CSV: a row per line, that add up to the total, and no formula', () => {
    const rows = invoiceCsv(invoice).trimEnd().split('\r\n');
    expect(rows).toHaveLength(4);
    expect(rows[1]).toContain(',"<b>""Pro"" & Co</b>",');
    expect(rows[3]).toContain(',credit,Credit: =1+1,');
    const sum = rows.slice(1).reduce((all, row) => all + Number(row.split(',').at(-1)), 0);
    expect(sum).toBe(invoice.total);
  });

  it('JSON: amounts as minor units and as decimals', () => {
    const document = invoiceDocument(invoice);
    // 49.00 + 1000 × 0.05 + 1000 × 0.0025 + 1 - 5.00 of credit
    expect(document.total).toEqual({ minor: 9750, decimal: '97.50' });
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    expect(invoiceDocument(planned)).toMatchObject({ kind: 'preview', number: null, status: 'preview' });
  });

  it('HTML: escaped, without scripts or addresses to load, in the language and the time zone', () => {
    const page = invoiceHtml(invoice, {
      seller: ['A & B', '<script>x</script>'],
      customer: ['Acme'],
      notes: ['Thanks'],
      locale: 'de-DE',
    });
    expect(page).not.toMatch(/<script|https?:|<b>|url\(|@import/);
    expect(page).toContain('&lt;b&gt;&quot;Pro&quot; &amp; Co&lt;/b&gt;');
    expect(page).toContain('97,50');
    // until midnight in Berlin: the last day is the 28th
    expect(page).toContain('01.02.2026 – 28.02.2026');
    expect(page).toContain('1.000 × 0,0025');
    expect(page).toContain('@page');
    expect(invoiceHtml({ ...invoice, status: 'void', voidedAt: new Date() })).toContain('<body class="void">');
  });

  it.each([
    ['USD', 2, 1234, '12.34'],
    ['USD', 2, -5, '-0.05'],
    ['JPY', 0, 1234, '1234'],
    ['KWD', 3, 1234, '1.234'],
    ['ISK', 0, 7, '7'],
  ])('%s has %i digits', (currency, digits, amount, text) => {
    expect([minorDigits(currency), decimalAmount(amount, currency)]).toEqual([digits, text]);
  });

  it('Stripe counts some currencies otherwise', () => {
    expect([
      stripeAmount(5, 'ISK'),
      stripeAmount(1200, 'MGA'),
      stripeAmount(120, 'KWD'),
      stripeAmount(7, 'JPY'),
    ]).toEqual([500, 12, 120, 7]);
    for (const [amount, currency] of [
      [121, 'KWD'],
      [150, 'MGA'],
    ] as const) {
      expect(() => stripeAmount(amount, currency)).toThrow(expect.objectContaining({ code: 'TNT_STRIPE_REFUSED' }));
    }
  });
});
