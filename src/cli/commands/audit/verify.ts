import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type AuditReport, verifyAuditExport } from '../../../audit/index.ts';
import { withTenant } from '../../../context/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { Command, CommandInput } from '../../command.ts';
import { organizationIds, organizationOption, withTenantry } from '../../organization.ts';

async function linesOf(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8')).split('\n').filter((line) => line.trim() !== '');
}

async function publicKeysOf(input: CommandInput): Promise<string[]> {
  return Promise.all(input.options('public-key').map((path) => readFile(path, 'utf8')));
}

function print(input: CommandInput, report: AuditReport): void {
  const { terminal } = input;
  const { tenantId, entries, startsAfter, end, problems, problemCount } = report;
  const range = startsAfter === 0 ? '' : `, the first ${startsAfter} were retired`;
  const signed = `${counted(report.checkpoints.verified, 'checkpoint')} ${report.checkpoints.verified === 1 ? 'fits' : 'fit'}${report.checkpoints.unverified > 0 ? `, ${report.checkpoints.unverified} of unknown keys` : ''}`;
  if (report.ok) {
    terminal.line(
      `${terminal.paint('good', 'whole')} ${tenantId}: ${counted(entries, 'entry', 'entries')} up to ${end.seq}${range}; ${signed}`,
    );
    return;
  }
  terminal.line(
    `${terminal.paint('bad', 'BROKEN')} ${tenantId}: ${counted(problemCount, 'problem')} in ${counted(entries, 'entry', 'entries')}; ${signed}`,
  );
  for (const { kind, message } of problems) terminal.line(`  ${kind.padEnd(10)} ${message}`);
  if (problemCount > problems.length) terminal.line(`  … and ${problemCount - problems.length} more`);
}

export const verify: Command = {
  name: 'audit verify',
  summary: 'Check the audit log of one organization, of all, or of an export.',
  description:
    'Finds entries that were changed, removed, moved or slipped in; with checkpoints kept outside also a log that was rewritten as a whole. Ends with 3 when something is wrong.',
  examples: [
    'tenantry audit verify',
    'tenantry audit verify --organization acme --checkpoints kept.jsonl --public-key audit.pub',
    'tenantry audit verify --file acme.jsonl --checkpoints kept.jsonl --public-key audit.pub',
  ],
  options: {
    ...organizationOption,
    file: { type: 'string', value: 'FILE', help: 'An export (JSON Lines) instead of the database.' },
    piece: { type: 'boolean', help: 'With --file: the export begins somewhere in the middle.' },
    checkpoints: { type: 'string', value: 'FILE', help: 'Checkpoints that were kept outside (JSON Lines).' },
    'public-key': {
      type: 'string',
      value: 'FILE',
      multiple: true,
      help: 'Ed25519 public key (PEM) that is believed; repeat it. TENANTRY_AUDIT_KEY is believed, too.',
    },
  },
  async run(input) {
    const path = input.option('checkpoints');
    const checkpoints = path === undefined ? [] : await linesOf(path);
    const publicKeys = await publicKeysOf(input);
    const file = input.option('file');
    const reports: AuditReport[] = [];
    let count = 0;
    if (file !== undefined) {
      if (input.option('organization') !== undefined)
        throw new TenantryError('TNT_USAGE', '--file goes without --organization.');
      const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
      reports.push(...(await verifyAuditExport(lines, { checkpoints, publicKeys, piece: input.flag('piece') })));
      count = reports.length;
      for (const report of reports) print(input, report);
    } else {
      await withTenantry(
        input,
        async (t) => {
          for await (const tenantId of organizationIds(input)) {
            const report = await withTenant({ tenantId }, () => t.audit.verify({ checkpoints }));
            count += 1;
            if (!report.ok || input.option('organization') !== undefined) {
              reports.push(report);
              print(input, report);
            }
          }
        },
        { audit: { publicKeys } },
      );
    }
    const broken = reports.filter(({ ok }) => !ok).length;
    input.terminal.line(`${count} ${count === 1 ? 'log' : 'logs'} checked, ${broken} broken`);
    input.terminal.result({ checked: count, broken, reports });
    return broken === 0 ? 0 : 3;
  },
};
