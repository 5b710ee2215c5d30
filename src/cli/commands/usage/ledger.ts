import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import { pruneUsage, recountUsage, selectDifferences, type UsageDifference } from '../../../metering/usage/index.ts';
import type { Command } from '../../command.ts';
import { parseMoment } from '../../moment.ts';
import { organizationIds, organizationOption, withOrganization } from '../../organization.ts';
import { acrossOrganizations } from './across.ts';

const everyOrganization = {
  organization: { type: 'string', value: 'ID|SLUG', help: 'Only this one. Defaults to all.' },
} as const;

export const exportUsage: Command = {
  name: 'usage export',
  summary: 'Write the events of an organization as JSON Lines or CSV.',
  description:
    'Events and corrections in the order of occurrence, of one moment, streamed. Quantities are exact decimals.',
  examples: [
    'tenantry usage export --organization acme --from 2026-11-01T00:00Z --to 2026-12-01T00:00Z > november.jsonl',
    'tenantry usage export --organization acme --from 30d --metric conversations --format csv --out acme.csv',
  ],
  options: {
    ...organizationOption,
    from: { type: 'string', value: 'TIME', help: 'From then on: 30d back, or a time with a zone. Defaults to 30d.' },
    to: { type: 'string', value: 'TIME', help: 'Up to then, itself excluded. Defaults to now.' },
    metric: { type: 'string', value: 'NAME', help: 'Only this metric.' },
    format: { type: 'string', value: 'FORMAT', help: 'jsonl or csv. Defaults to jsonl.' },
    out: { type: 'string', value: 'FILE', help: 'Defaults to standard output.' },
  },
  async run(input) {
    const format = input.option('format') ?? 'jsonl';
    if (format !== 'jsonl' && format !== 'csv') throw new TenantryError('TNT_USAGE', '--format takes jsonl or csv.');
    const from = parseMoment('from', input.option('from') ?? '30d') as Date;
    const to = parseMoment('to', input.option('to')) ?? new Date();
    const metric = input.option('metric');
    const out = input.option('out');
    let lines = 0;
    await withOrganization(input, async (t) => {
      const text = async function* (): AsyncGenerator<string> {
        for await (const page of t.usage.export({ from, to, format, ...(metric === undefined ? {} : { metric }) })) {
          lines += page.split('\n').length - 1;
          yield page;
        }
      };
      if (out !== undefined) await pipeline(Readable.from(text()), createWriteStream(out, { mode: 0o600 }));
      else for await (const page of text()) input.terminal.line(page.replace(/\r?\n$/, ''));
    });
    if (out !== undefined) input.terminal.note(`${counted(lines, 'line')} in ${out}`);
    input.terminal.result({ lines, out: out ?? null });
  },
};

export const verify: Command = {
  name: 'usage verify',
  summary: 'Compare every counter with the ledger of events. Exit code 3 when one differs.',
  examples: ['tenantry usage verify', 'tenantry usage verify --organization acme --json'],
  options: everyOrganization,
  async run(input) {
    const found: UsageDifference[] = [];
    let organizations = 0;
    await acrossOrganizations(input, async (t) => {
      for await (const tenantId of organizationIds(input)) {
        organizations += 1;
        const differences = await selectDifferences(t.kernel, tenantId);
        if (found.length < 1000) found.push(...differences);
      }
    });
    for (const one of found) {
      input.terminal.line(
        `${input.terminal.paint('bad', 'differs')} ${one.tenantId} ${one.scope}${one.scope === 'organization' ? '' : ` ${one.scopeId}`} ${one.metric}, ${one.period} of ${one.periodStart.toISOString()}: counted ${one.countedValue} in ${counted(one.countedEvents, 'event')}, the ledger says ${one.ledgerValue} in ${one.ledgerEvents}`,
      );
    }
    input.terminal.line(
      found.length === 0
        ? `${input.terminal.paint('good', 'same')} every counter of ${counted(organizations, 'organization')} is the sum of its events`
        : `${counted(found.length, 'counter differs', 'counters differ')}. Correct them with: tenantry usage recount`,
    );
    input.terminal.result({ organizations, differences: found });
    return found.length === 0 ? 0 : 3;
  },
};

export const recount: Command = {
  name: 'usage recount',
  summary: 'Make the counters what the ledger of events says.',
  description: 'An organization is counted afresh in one transaction; what it uses meanwhile waits and is not lost.',
  examples: ['tenantry usage recount --organization acme', 'tenantry usage recount'],
  options: everyOrganization,
  async run(input) {
    let corrected = 0;
    await acrossOrganizations(input, async (t) => {
      for await (const tenantId of organizationIds(input)) corrected += await recountUsage(t.kernel, tenantId);
    });
    input.terminal.line(`${corrected} counters corrected.`);
    input.terminal.result({ corrected });
  },
};

export const prune: Command = {
  name: 'usage prune',
  summary: 'Delete events from before a time; counters, alerts and bills stay.',
  description:
    'Nothing older than the time is taken from then on, so that an event that was pruned is not counted again when it comes again. Pruned periods can no longer be exported, verified or rated anew.',
  examples: [
    'tenantry usage prune --before 2025-01-01T00:00Z --yes',
    'tenantry usage prune --before 730d --organization acme --yes',
  ],
  options: {
    ...everyOrganization,
    before: { type: 'string', value: 'TIME', help: 'An age such as 730d, or a time with a zone.' },
    yes: { type: 'boolean', help: 'Do it: what is deleted does not come back.' },
  },
  async run(input) {
    const before = parseMoment('before', input.option('before'));
    if (before === undefined) throw new TenantryError('TNT_USAGE', '--before is needed.');
    if (!input.flag('yes'))
      throw new TenantryError('TNT_NOT_CONFIRMED', `Events from before ${before.toISOString()} would be deleted.`);
    let pruned = 0;
    await acrossOrganizations(input, async (t) => {
      for await (const tenantId of organizationIds(input)) {
        for (;;) {
          input.signal.throwIfAborted();
          const gone = await pruneUsage(t.kernel, tenantId, before, 10_000);
          pruned += gone;
          if (gone < 10_000) break;
        }
      }
    });
    input.terminal.line(`${counted(pruned, 'event')} deleted.`);
    input.terminal.result({ pruned });
  },
};
