import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import {
  type Aggregation,
  aggregations,
  listMetrics,
  selectHeaviest,
  type UsagePeriod,
  upsertMetric,
} from '../../../metering/usage/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { parseMoment } from '../../moment.ts';
import { organizationOption, withOrganization } from '../../organization.ts';
import { acrossOrganizations } from './across.ts';

const periodOptions = {
  metric: { type: 'string', value: 'NAME', help: 'Which; see: tenantry usage metrics' },
  period: { type: 'string', value: 'PERIOD', help: 'day or month. Defaults to month.' },
  at: {
    type: 'string',
    value: 'TIME',
    help: 'In the period around then: 30d back, or a time with a zone. Defaults to now.',
  },
} as const;

const day = (date: Date, timeZone: string): string => date.toLocaleString('sv-SE', { timeZone }).slice(0, 16);
const amount = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 6 });

export const show: Command = {
  name: 'usage show',
  summary: 'Show what an organization used of a metric, against its limit, by day and by namespace.',
  examples: [
    'tenantry usage show --organization acme --metric conversations',
    'tenantry usage show --organization acme --metric api_calls --period day --at 2026-11-01T12:00Z --json',
  ],
  options: {
    ...organizationOption,
    ...periodOptions,
    namespace: { type: 'string', value: 'ID', help: 'Only this namespace.' },
  },
  async run(input) {
    const { terminal } = input;
    const at = parseMoment('at', input.option('at'));
    const namespaceId = input.option('namespace');
    const s = await withOrganization(input, (t) =>
      t.usage.statistics({
        metric: metricOf(input),
        period: periodOf(input),
        ...(at === undefined ? {} : { at }),
        ...(namespaceId === undefined ? {} : { namespaceId }),
      }),
    );
    terminal.line(
      `${terminal.paint('bold', s.title)}, ${s.period} from ${day(s.current.start, s.timeZone)} to ${day(s.current.end, s.timeZone)} (${s.timeZone})`,
    );
    terminal.line(`used      ${amount(s.current.value)} in ${counted(s.current.events, 'event')}`);
    terminal.line(
      s.limit === null
        ? 'limit     none'
        : `limit     ${s.limit.quantity === null ? 'unlimited' : `${amount(s.limit.quantity)} (${s.limit.hard ? 'hard' : 'soft'}), ${amount(Math.round(s.limit.used ?? 0))} % used, ${amount(s.limit.overage)} over`}`,
    );
    terminal.line(
      `before    ${amount(s.previous.value)}${s.change === null ? '' : ` (${s.change >= 0 ? '+' : ''}${s.change.toFixed(1)} %)`}`,
    );
    if (s.forecast !== null) {
      const reached = s.forecast.reachesLimitAt;
      terminal.line(
        `forecast  ${amount(Math.round(s.forecast.value))}${reached === null ? '' : `, the limit at ${day(reached, s.timeZone)}`}`,
      );
    }
    terminal.line();
    terminal.table(
      ['day', 'value', 'events'],
      s.days.map((one) => [day(one.start, s.timeZone).slice(0, 10), amount(one.value), amount(one.events)]),
    );
    if (s.namespaces.length > 0) {
      terminal.line();
      terminal.table(
        ['namespace', 'value', 'events'],
        s.namespaces.map((one) => [one.name ?? one.id, amount(one.value), amount(one.events)]),
      );
    }
    terminal.result(s);
  },
};

export const top: Command = {
  name: 'usage top',
  summary: 'List the organizations that used most of a metric.',
  examples: [
    'tenantry usage top --metric conversations',
    'tenantry usage top --metric api_calls --period day --limit 100 --json',
  ],
  options: {
    ...periodOptions,
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 1000. Defaults to 20.' },
  },
  async run(input) {
    const limit = input.number('limit') ?? 20;
    if (limit < 1 || limit > 1000) throw new TenantryError('TNT_USAGE', '--limit takes 1 to 1000.');
    const metric = metricOf(input);
    const rows = await acrossOrganizations(input, (t) =>
      selectHeaviest(t.kernel, metric, periodOf(input), parseMoment('at', input.option('at')) ?? new Date(), limit),
    );
    input.terminal.table(
      ['organization', 'value', 'events', 'since'],
      rows.map((row) => [row.slug, amount(row.value), amount(row.events), row.periodStart.toISOString()]),
    );
    if (rows.length === 0) input.terminal.line('Nobody used any.');
    input.terminal.result(rows);
  },
};

export const alerts: Command = {
  name: 'usage alerts',
  summary: 'List the alerts that an organization has had.',
  examples: ['tenantry usage alerts --organization acme'],
  options: {
    ...organizationOption,
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 200. Defaults to 50.' },
  },
  async run(input) {
    const rows = await withOrganization(input, (t) => t.usage.alerts(input.number('limit') ?? 50));
    input.terminal.table(
      ['at', 'metric', 'level', 'value', 'limit', 'period', 'from', 'namespace'],
      rows.map((row) => [
        row.firedAt.toISOString(),
        row.metric,
        `${row.level} %`,
        amount(row.value),
        amount(row.limit),
        row.period,
        row.periodStart.toISOString(),
        row.namespaceId ?? '',
      ]),
    );
    if (rows.length === 0) input.terminal.line('None.');
    input.terminal.result(rows);
  },
};

export const metrics: Command = {
  name: 'usage metrics',
  summary: 'List what is counted.',
  examples: ['tenantry usage metrics', 'tenantry usage metrics --json'],
  async run(input) {
    const rows = await acrossOrganizations(input, (t) => listMetrics(t.kernel));
    input.terminal.table(
      ['metric', 'title', 'unit', 'aggregation', 'alerts at'],
      rows.map((row) => [
        row.name,
        row.title,
        row.unit,
        row.aggregation,
        row.alertLevels.map((level) => `${level} %`).join(', ') || 'none',
      ]),
    );
    input.terminal.result(rows);
  },
};

export const setMetric: Command = {
  name: 'usage metric',
  usage: 'NAME',
  summary: 'Add a metric, or change its title, unit and alert levels.',
  description: 'The aggregation is fixed once something was counted by it: make another metric instead.',
  examples: [
    'tenantry usage metric tokens.input --title "Input tokens" --unit token',
    'tenantry usage metric seats --title Seats --unit seat --aggregation max --alert-levels 80,100,120',
  ],
  positionals: [1, 1],
  options: {
    title: { type: 'string', value: 'TEXT', help: 'For people. Defaults to the name.' },
    unit: { type: 'string', value: 'TEXT', help: 'One of it. Defaults to unit.' },
    aggregation: { type: 'string', value: 'HOW', help: 'sum, count, max, last or unique. Defaults to sum.' },
    'alert-levels': { type: 'string', value: 'LIST', help: 'Per cent of the limit: 90,100,150. Defaults to 90,100.' },
  },
  async run(input) {
    const name = input.positionals[0] ?? '';
    if (!/^[a-z][a-z0-9_.-]{0,62}$/.test(name)) {
      throw new TenantryError(
        'TNT_USAGE',
        'NAME takes a–z, 0–9, _ . and -, beginning with a letter, at most 63 characters.',
      );
    }
    const aggregation = input.option('aggregation') ?? 'sum';
    if (!isAggregation(aggregation))
      throw new TenantryError('TNT_USAGE', `--aggregation takes ${aggregations.join(', ')}.`);
    const levels = input.option('alert-levels');
    if (levels !== undefined && !/^(\d+(\.\d+)?(,\d+(\.\d+)?){0,19})?$/.test(levels)) {
      throw new TenantryError('TNT_USAGE', '--alert-levels takes at most 20 numbers: 90,100,150.');
    }
    const kept = await acrossOrganizations(input, (t) =>
      upsertMetric(t.kernel, {
        name,
        title: input.option('title') ?? name,
        unit: input.option('unit') ?? 'unit',
        aggregation,
        alertLevels: levels === undefined ? undefined : levels.split(',').filter(Boolean).map(Number),
      }),
    );
    if (kept === null) {
      throw new TenantryError('TNT_CONFLICT', `--aggregation: "${name}" has been counted another way.`, {
        hint: 'Make a metric of another name.',
      });
    }
    input.terminal.line(`${input.terminal.paint('good', 'kept')} ${kept.name}: ${kept.aggregation} of ${kept.unit}`);
    input.terminal.result(kept);
  },
};

export function metricOf(input: CommandInput): string {
  const metric = input.option('metric');
  if (metric === undefined)
    throw new TenantryError('TNT_USAGE', '--metric is needed.', { hint: 'List them with: tenantry usage metrics' });
  return metric;
}

function periodOf(input: CommandInput): UsagePeriod {
  const period = input.option('period') ?? 'month';
  if (period !== 'day' && period !== 'month') throw new TenantryError('TNT_USAGE', '--period takes day or month.');
  return period;
}

const isAggregation = (text: string): text is Aggregation => (aggregations as readonly string[]).includes(text);
