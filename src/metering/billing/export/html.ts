import { minorDigits } from '../currency.ts';
import { type Billed, type InvoiceDocument, invoiceDocument } from './document.ts';
import { invoiceStyle } from './style.ts';

export interface InvoiceHtmlOptions {
  /** Who bills: name and address, a line each. */
  readonly seller?: readonly string[];
  /** Who pays: name and address, a line each. */
  readonly customer?: readonly string[];
  /** Below the total: terms of payment, tax, bank account. */
  readonly notes?: readonly string[];
  /** BCP 47, for numbers and dates. Defaults to `en-GB`. */
  readonly locale?: string;
  /** Titles in another language. */
  readonly titles?: Partial<InvoiceTitles>;
}

export interface InvoiceTitles {
  readonly invoice: string;
  readonly creditNote: string;
  readonly preview: string;
  readonly void: string;
  readonly number: string;
  readonly issued: string;
  readonly period: string;
  readonly billedTo: string;
  readonly description: string;
  readonly quantity: string;
  readonly amount: string;
  readonly subtotal: string;
  readonly credits: string;
  readonly total: string;
  readonly included: string;
}

const english: InvoiceTitles = {
  invoice: 'Invoice',
  creditNote: 'Credit note',
  preview: 'Preview',
  void: 'Void',
  number: 'Number',
  issued: 'Issued',
  period: 'Period',
  billedTo: 'Billed to',
  description: 'Description',
  quantity: 'Quantity',
  amount: 'Amount',
  subtotal: 'Subtotal',
  credits: 'Credits',
  total: 'Total',
  included: 'included',
};

/**
 * An invoice as one HTML page without scripts or links, with a style sheet for paper (A4 or Letter): print it to PDF with a
 * browser. Every text is escaped.
 */
export function invoiceHtml(invoice: Billed, options: InvoiceHtmlOptions = {}): string {
  const { seller = [], customer = [], notes = [], locale = 'en-GB' } = options;
  const titles = { ...english, ...options.titles };
  const of = invoiceDocument(invoice);
  const show = formats(of, locale);
  const title = of.kind === 'invoice' ? titles.invoice : of.kind === 'preview' ? titles.preview : titles.creditNote;
  const facts: (readonly [string, string])[] = [
    ...(of.number === null ? [] : [[titles.number, of.number] as const]),
    ...(of.issuedAt === null ? [] : [[titles.issued, show.date(of.issuedAt)] as const]),
    [titles.period, show.span(of.period)],
  ];
  const sums: (readonly [string, string, string])[] = [
    ...(of.credits.minor === 0
      ? []
      : [
          ['', titles.subtotal, show.money(of.subtotal.decimal)] as const,
          ['', titles.credits, show.money(of.credits.decimal)] as const,
        ]),
    ['total', titles.total, show.money(of.total.decimal)],
  ];
  const lines = of.lines.filter(({ kind }) => kind !== 'credit');
  return `<!doctype html>
<html lang="${escape(locale)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape([title, of.number ?? ''].join(' ').trim())}</title>
<style>${invoiceStyle}</style>
</head>
<body${of.status === 'void' ? ' class="void"' : ''}>
<header>
<address>${block(seller)}</address>
<h1>${escape(title)}${of.status === 'void' ? ` <span>${escape(titles.void)}</span>` : ''}</h1>
</header>
<section class="facts">
<div>${customer.length === 0 ? '' : `<h2>${escape(titles.billedTo)}</h2><address>${block(customer)}</address>`}</div>
<dl>${facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('')}</dl>
</section>
<table>
<thead><tr><th>${escape(titles.description)}</th><th class="number">${escape(titles.quantity)}</th><th class="number">${escape(titles.amount)}</th></tr></thead>
<tbody>
${lines.map((line) => row(line, show, titles)).join('\n')}
</tbody>
<tfoot>
${sums.map(([style, name, value]) => `<tr class="${style}"><th colspan="2">${escape(name)}</th><td class="number">${escape(value)}</td></tr>`).join('\n')}
</tfoot>
</table>
<footer>${notes.map((note) => `<p>${escape(note)}</p>`).join('')}</footer>
</body>
</html>
`;
}

type Line = InvoiceDocument['lines'][number];
type Formats = ReturnType<typeof formats>;

function row(line: Line, show: Formats, titles: InvoiceTitles): string {
  const included = line.details['included'];
  const notes = [
    show.span(line.service),
    ...(typeof included === 'string' ? [`${show.share(included)} ${titles.included}`] : []),
    ...tiersOf(line).map(({ quantity, unit, flat }) => {
      const price = `${show.share(quantity)} × ${show.price(unit)}`;
      return flat === undefined ? price : `${price} + ${show.price(flat)}`;
    }),
  ];
  return `<tr><td>${escape(line.description)}${notes.map((note) => `<small>${escape(note)}</small>`).join('')}</td>
<td class="number">${line.quantity === null ? '' : escape(show.quantity(line.quantity))}</td>
<td class="number">${escape(show.money(line.amount.decimal))}</td></tr>`;
}

function tiersOf({ details }: Line): { quantity: string; unit: string; flat?: string }[] {
  const tiers: unknown = details['tiers'];
  return Array.isArray(tiers) ? (tiers as { quantity: string; unit: string; flat?: string }[]) : [];
}

function formats({ currency, timeZone }: InvoiceDocument, locale: string) {
  const digits = minorDigits(currency);
  const whole = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const amounts = new Intl.NumberFormat(locale, { style: 'currency', currency, ...whole });
  const prices = new Intl.NumberFormat(locale, { style: 'currency', currency, ...whole, maximumFractionDigits: 12 });
  const quantities = new Intl.NumberFormat(locale, { maximumFractionDigits: 12 });
  const rounded = new Intl.NumberFormat(locale, { maximumFractionDigits: 4 });
  const dates = new Intl.DateTimeFormat(locale, { timeZone, dateStyle: 'medium' });
  const date = (at: string | number): string => dates.format(new Date(at));
  // Decimals go in as text, which Intl formats digit by digit: a number would lose some.
  const exact = (text: string): Intl.StringNumericLiteral => text as Intl.StringNumericLiteral;
  return {
    money: (text: string): string => amounts.format(exact(text)),
    price: (text: string): string => prices.format(exact(text)),
    quantity: (text: string): string => quantities.format(exact(text)),
    /** Of a part of a period: shown to four digits, counted with all. */
    share: (text: string): string => rounded.format(exact(text)),
    date,
    /** The last day that is in it, not the one on which the next begins. */
    span: ({ start, end }: { start: string; end: string }): string => {
      const [first, last] = [date(start), date(Math.max(new Date(start).getTime(), new Date(end).getTime() - 1))];
      return first === last ? first : `${first} – ${last}`;
    },
  };
}

const block = (lines: readonly string[]): string => lines.map(escape).join('<br>');

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? character);
