import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { withTenant } from '../../../context/index.ts';
import { createOperatorPool } from '../../../pool/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { AuditCheckpoint } from '../../../audit/index.ts';
import type { Command } from '../../command.ts';
import { parseMoment } from '../../moment.ts';
import { organizationIds, organizationOption, withOrganization, withTenantry } from '../../organization.ts';

export const list: Command = {
  name: 'audit list',
  summary: 'Show the newest entries of an organization.',
  examples: ['tenantry audit list --organization acme', 'tenantry audit list --organization acme --limit 200 --json'],
  options: {
    ...organizationOption,
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 200. Defaults to 50.' },
  },
  async run(input) {
    const limit = input.number('limit') ?? 50;
    const { items } = await withOrganization(input, (t) => t.audit.list({ limit }));
    input.terminal.table(
      ['seq', 'at', 'action', 'actor', 'resource'],
      items.map(({ seq, at, action, actorPrincipalId, resourceId }) => [
        String(seq),
        at.toISOString(),
        action,
        actorPrincipalId ?? '-',
        resourceId ?? '-',
      ]),
    );
    input.terminal.result(items);
  },
};

export const exportLog: Command = {
  name: 'audit export',
  summary: 'Write the audit log of an organization as JSON Lines or CSV.',
  description: 'JSON Lines can be verified outside of the database: tenantry audit verify --file FILE',
  examples: [
    'tenantry audit export --organization acme --out acme.jsonl',
    'tenantry audit export --organization acme --format csv --from 2026-11-01T00:00Z --to 2026-12-01T00:00Z',
  ],
  options: {
    ...organizationOption,
    format: { type: 'string', value: 'FORMAT', help: 'jsonl or csv. Defaults to jsonl.' },
    from: { type: 'string', value: 'TIME', help: 'From then on: 30d back, or a time with a zone.' },
    to: { type: 'string', value: 'TIME', help: 'Up to then, itself excluded.' },
    out: { type: 'string', value: 'FILE', help: 'Defaults to standard output.' },
  },
  async run(input) {
    const format = input.option('format') ?? 'jsonl';
    if (format !== 'jsonl' && format !== 'csv') throw new TenantryError('TNT_USAGE', '--format takes jsonl or csv.');
    const from = parseMoment('from', input.option('from'));
    const to = parseMoment('to', input.option('to'));
    const out = input.option('out');
    let lines = 0;
    await withOrganization(input, async (t) => {
      const source = t.audit.export({
        format,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      });
      if (out === undefined) {
        for await (const line of source) {
          input.terminal.line(line);
          lines += 1;
        }
        return;
      }
      const counting = async function* (): AsyncGenerator<string> {
        for await (const line of source) {
          lines += 1;
          yield `${line}\n`;
        }
      };
      await pipeline(Readable.from(counting()), createWriteStream(out, { mode: 0o600 }));
      input.terminal.note(`${counted(lines, 'line')} in ${out}`);
    });
    input.terminal.result({ lines, out: out ?? null });
  },
};

export const checkpoint: Command = {
  name: 'audit checkpoint',
  summary: 'Sign the ends of the chains, and print them to be kept outside.',
  description:
    'Takes TENANTRY_AUDIT_KEY: an Ed25519 private key as PEM. One line of JSON per organization that has entries.',
  examples: ['tenantry audit checkpoint >> kept.jsonl', 'tenantry audit checkpoint --organization acme'],
  options: organizationOption,
  async run(input) {
    const signed: AuditCheckpoint[] = [];
    await withTenantry(input, async (t) => {
      for await (const tenantId of organizationIds(input)) {
        const one = await withTenant({ tenantId }, () => t.audit.checkpoint());
        if (one === null) continue;
        if (input.terminal.json) signed.push(one);
        input.terminal.line(JSON.stringify(one));
      }
    });
    input.terminal.result(signed);
  },
};

export const maintain: Command = {
  name: 'audit maintain',
  summary: 'Make the partitions of the months to come.',
  description:
    'The dispatcher of events does so by itself. Safe to repeat; entries of a month without one are not lost.',
  examples: ['tenantry audit maintain'],
  async run(input) {
    const made = await withTenantry(input, (t) => t.audit.maintain());
    input.terminal.line(made === 0 ? 'Every partition is there.' : `${made} partitions made`);
    input.terminal.result({ made });
  },
};

export const retain: Command = {
  name: 'audit retain',
  summary: 'Drop whole months of the audit log that are older than asked for.',
  description:
    'Every chain in a month is verified and its end signed first (TENANTRY_AUDIT_KEY); verification goes on from there. A damaged month stays, and the command ends with 3.',
  examples: ['tenantry audit retain --months 24 --yes'],
  options: {
    months: { type: 'string', value: 'N', help: 'Whole months that stay, beside the current one.' },
    yes: { type: 'boolean', help: 'Do not ask: what is dropped is gone.' },
  },
  async run(input) {
    const months = input.number('months');
    if (months === undefined) throw new TenantryError('TNT_USAGE', '--months is needed.');
    if (!input.flag('yes'))
      throw new TenantryError('TNT_NOT_CONFIRMED', `Entries older than ${months} months would be gone.`, {
        hint: 'Repeat with --yes.',
      });
    const { operatorUrl, adminUrl } = await input.database();
    const operator = createOperatorPool(operatorUrl ?? adminUrl, { max: 2 });
    try {
      const removed = await withTenantry(input, (t) => t.audit.retain({ months }), { operator });
      for (const { month, entries, organizations } of removed)
        input.terminal.line(
          `${month}: ${counted(entries, 'entry', 'entries')} of ${counted(organizations, 'organization')}`,
        );
      if (removed.length === 0) input.terminal.line('There is nothing that old.');
      input.terminal.result(removed);
    } finally {
      await operator?.end();
    }
  },
};
