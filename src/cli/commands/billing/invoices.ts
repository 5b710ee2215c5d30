import { writeFile } from 'node:fs/promises';
import { TenantryError } from '../../../errors.ts';
import {
  decimalAmount,
  type Invoice,
  invoiceCsv,
  invoiceDocument,
  invoiceHtml,
} from '../../../metering/billing/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { organizationOption } from '../../organization.ts';
import { asOperator, forOrganization, printInvoice, required } from './shared.ts';
import { report, withStripe } from './stripe.ts';

const periodOption = {
  period: {
    type: 'string',
    value: 'N',
    help: 'Number of the billing period; 0 is the first. Defaults to the running one.',
  },
} as const;

const list: Command = {
  name: 'invoices list',
  summary: 'List the finalized invoices and credit notes of an organization, newest first.',
  examples: ['tenantry invoices list --organization acme'],
  options: organizationOption,
  async run(input) {
    const { items } = await forOrganization(input, (t) => t.billing.invoices({ limit: 200 }));
    input.terminal.table(
      ['number', 'kind', 'status', 'period', 'total'],
      items.map((invoice) => [
        invoice.number,
        invoice.kind,
        invoice.status,
        `${invoice.periodStart.toISOString()} – ${invoice.periodEnd.toISOString()}`,
        `${decimalAmount(invoice.total, invoice.currency)} ${invoice.currency}`,
      ]),
    );
    input.terminal.result(items.map(invoiceDocument));
  },
};

const preview: Command = {
  name: 'invoices preview',
  summary: 'Show what closing a billing period would charge: the same function makes the invoice.',
  examples: [
    'tenantry invoices preview --organization acme',
    'tenantry invoices preview --organization acme --period 3 --json',
  ],
  options: { ...organizationOption, ...periodOption },
  async run(input) {
    const period = input.number('period');
    const planned = await forOrganization(input, (t) => t.billing.operator.preview(period));
    printInvoice(input, planned);
    input.terminal.result(invoiceDocument(planned));
  },
};

const finalize: Command = {
  name: 'invoices finalize',
  summary: 'Close what is over and store the invoices: of one organization, or of all. Run it each hour.',
  description:
    'Run again, or by two at once: each period has one invoice. What fails for one organization stops no other.',
  examples: ['tenantry invoices finalize', 'tenantry invoices finalize --organization acme --period 3'],
  options: {
    ...organizationOption,
    period: { type: 'string', value: 'N', help: 'With --organization: this billing period.' },
    'grace-minutes': {
      type: 'string',
      value: 'N',
      help: 'How long after its end a period still waits for events. Defaults to 60.',
    },
  },
  async run(input) {
    if (input.option('organization') !== undefined) return finalizeOne(input);
    const graceMinutes = input.number('grace-minutes') ?? 60;
    const { issued, failed } = await asOperator(input, (t) => t.billing.operator.finalizeDue({ graceMinutes }));
    for (const { tenantId, number } of issued) input.terminal.line(`${number} ${tenantId}`);
    input.terminal.line(`${issued.length} finalized, ${failed.length} failed`);
    return report(input, { issued, failed: failed.map(({ tenantId, error }) => ({ id: tenantId, error })) });
  },
};

async function finalizeOne(input: CommandInput): Promise<void> {
  const period = input.number('period');
  const invoice = await forOrganization(input, (t) =>
    t.billing.operator.finalize(period === undefined ? {} : { period }),
  );
  if (invoice === undefined) input.terminal.line('No billing period is over.');
  else {
    input.terminal.line(`${input.terminal.paint('good', 'finalized')} ${invoice.number}`);
    printInvoice(input, invoice);
  }
  input.terminal.result(invoice === undefined ? null : invoiceDocument(invoice));
}

const formats = ['csv', 'html', 'json'] as const;
type Format = (typeof formats)[number];

const exportCommand: Command = {
  name: 'invoices export',
  usage: 'NUMBER|ID',
  summary: 'Write an invoice as CSV, JSON, or an HTML page made for paper; without one, all of an organization as CSV.',
  examples: [
    'tenantry invoices export INV-1-000001 --organization acme --format html --output invoice.html',
    'tenantry invoices export --organization acme > invoices.csv',
  ],
  options: {
    ...organizationOption,
    format: { type: 'string', value: 'FORMAT', help: 'csv, html or json. Defaults to csv.' },
    output: { type: 'string', value: 'FILE', help: 'Defaults to standard output.' },
    seller: { type: 'string', value: 'LINE', multiple: true, help: 'A line of who bills, for html; repeat it.' },
    customer: { type: 'string', value: 'LINE', multiple: true, help: 'A line of who pays, for html; repeat it.' },
    note: { type: 'string', value: 'LINE', multiple: true, help: 'A line below the total, for html; repeat it.' },
    locale: { type: 'string', value: 'TAG', help: 'Of numbers and dates in html. Defaults to en-GB.' },
  },
  positionals: [0, 1],
  async run(input) {
    const format = (input.option('format') ?? 'csv') as Format;
    if (!formats.includes(format)) throw new TenantryError('TNT_USAGE', `--format takes ${formats.join(', ')}.`);
    const [name] = input.positionals;
    if (name === undefined && format !== 'csv')
      throw new TenantryError('TNT_USAGE', `${format} takes one invoice: name it.`);
    const invoices = await forOrganization(input, async ({ billing }) => {
      if (name === undefined) return allOf(billing.invoices);
      const invoice = await billing.invoice(name);
      if (invoice === null) throw new TenantryError('TNT_NOT_FOUND', `There is no invoice "${name}".`);
      return [invoice];
    });
    const text = rendered(input, format, invoices);
    const file = input.option('output');
    if (file === undefined) input.terminal.line(text.trimEnd());
    else {
      await writeFile(file, text);
      input.terminal.line(`${input.terminal.paint('good', 'written')} ${file}`);
    }
    input.terminal.result(invoices.map(invoiceDocument));
  },
};

function rendered(input: CommandInput, format: Format, invoices: readonly Invoice[]): string {
  const [invoice] = invoices;
  if (format === 'csv' || invoice === undefined) return invoiceCsv(...invoices);
  if (format === 'json') return `${JSON.stringify(invoiceDocument(invoice), null, 2)}\n`;
  const locale = input.option('locale');
  return invoiceHtml(invoice, {
    seller: input.options('seller'),
    customer: input.options('customer'),
    notes: input.options('note'),
    ...(locale === undefined ? {} : { locale }),
  });
}

/** Oldest first. */
async function allOf(
  page: (options: { limit: number; cursor?: string }) => Promise<{ items: Invoice[]; nextCursor: string | null }>,
): Promise<Invoice[]> {
  const all: Invoice[] = [];
  for (let cursor: string | undefined; ; ) {
    const { items, nextCursor } = await page({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
    all.push(...items);
    if (nextCursor === null) return all.reverse();
    cursor = nextCursor;
  }
}

const voidCommand: Command = {
  name: 'invoices void',
  usage: 'NUMBER|ID',
  summary: 'Take an invoice or credit note back. What an invoice billed comes with the next one.',
  examples: ['tenantry invoices void INV-1-000001 --organization acme --reason "wrong address"'],
  options: { ...organizationOption, reason: { type: 'string', value: 'TEXT', help: 'Kept with it.' } },
  positionals: [1, 1],
  async run(input) {
    const reason = required(input, 'reason');
    const [name = ''] = input.positionals;
    const invoice = await forOrganization(input, (t) => t.billing.operator.void(name, reason));
    input.terminal.line(`${input.terminal.paint('good', 'void')} ${invoice.number}`);
    input.terminal.result(invoiceDocument(invoice));
  },
};

const push: Command = {
  name: 'invoices push',
  summary: 'Tell Stripe of every invoice that it does not have as it stands: of one organization, or of all.',
  description:
    'The key is read from STRIPE_SECRET_KEY. Interrupted at any point, the next run goes on there, and nothing is made twice.',
  examples: ['STRIPE_SECRET_KEY=… tenantry invoices push', 'tenantry invoices push --organization acme --no-collect'],
  options: {
    ...organizationOption,
    'no-collect': { type: 'boolean', help: 'Finalize at Stripe without collecting the money.' },
    'days-until-due': {
      type: 'string',
      value: 'N',
      help: 'Send by e-mail with so many days to pay, instead of charging.',
    },
  },
  async run(input) {
    const daysUntilDue = input.number('days-until-due');
    const settings = { collect: !input.flag('no-collect'), ...(daysUntilDue === undefined ? {} : { daysUntilDue }) };
    const { pushed, failed } = await withStripe(input, settings, (push, tenantId) => push.invoices(tenantId));
    input.terminal.line(`${pushed.length} pushed, ${failed.length} failed`);
    return report(input, { pushed, failed });
  },
};

export const invoiceCommands = [list, preview, finalize, exportCommand, voidCommand, push];
