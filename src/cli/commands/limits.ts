import { TenantryError } from '../../errors.ts';
import type { LimitState } from '../../metering/limits/index.ts';
import type { Tenantry } from '../../tenantry.ts';
import type { Command, CommandInput, OptionSpec } from '../command.ts';
import { asOrganization, organizationOption, quantityOf } from './as-organization.ts';

const metricOption: OptionSpec = {
  type: 'string',
  value: 'METRIC',
  help: 'What is counted: conversations, api_calls, …',
};
const periodOption: OptionSpec = { type: 'string', value: 'PERIOD', help: 'day or month. Defaults to month.' };

const check: Command = {
  name: 'limits check',
  summary: 'Show the limits that a metric meets, what is used and what is left.',
  description: 'Exit code 3 when one more would be refused.',
  examples: [
    'tenantry limits check --organization acme --metric conversations',
    'tenantry limits check --organization acme --metric memories --namespace production --json',
  ],
  options: {
    ...organizationOption,
    metric: metricOption,
    namespace: { type: 'string', value: 'NAME', help: 'As a request in this namespace.' },
  },
  async run(input) {
    const metric = needed(input, 'metric');
    const answer = await asOrganization(input, async (t) => {
      const namespaceId = await namespaceOf(input, t);
      return t.limits.check({ metric, ...(namespaceId === undefined ? {} : { namespaceId }) });
    });
    const row = (state: LimitState): string[] => [
      state.scope,
      state.source,
      state.period,
      state.limit === null ? 'unlimited' : String(state.limit),
      state.hard ? 'refuses' : 'counts overage',
      String(state.used),
      String(state.reserved),
      state.remaining === null ? '-' : String(state.remaining),
      state.periodEnd.toISOString(),
    ];
    input.terminal.table(
      ['scope', 'from', 'per', 'limit', 'beyond', 'used', 'reserved', 'left', 'ends'],
      answer.limits.map(row),
    );
    if (answer.limits.length === 0) input.terminal.line(`${metric} is not limited.`);
    input.terminal.result(answer);
    return answer.allowed ? 0 : 3;
  },
};

const set: Command = {
  name: 'limits set',
  summary: 'Give an organization a limit of its own, in the place of its plan’s.',
  examples: [
    'tenantry limits set --organization acme --metric conversations --limit 5000',
    'tenantry limits set --organization acme --metric api_calls --period day --limit unlimited',
  ],
  options: {
    ...organizationOption,
    metric: metricOption,
    period: periodOption,
    limit: { type: 'string', value: 'N', help: 'A number, or unlimited.' },
    soft: { type: 'boolean', help: 'Let more through and count it as overage.' },
  },
  async run(input) {
    const [metric, limit] = [needed(input, 'metric'), quantityOf(needed(input, 'limit'), '--limit')];
    const made = await asOrganization(input, (t) =>
      t.limits.set({ metric, period: periodOf(input), limit, hard: !input.flag('soft') }),
    );
    input.terminal.line(
      `${input.terminal.paint('good', 'set')} ${metric}: ${made.limit ?? 'unlimited'} per ${made.period}, ${made.hard ? 'refuses more' : 'counts overage'}`,
    );
    input.terminal.result(made);
  },
};

const remove: Command = {
  name: 'limits remove',
  summary: 'Take an organization’s own limit away: the plan’s counts again.',
  examples: ['tenantry limits remove --organization acme --metric conversations'],
  options: { ...organizationOption, metric: metricOption, period: periodOption },
  async run(input) {
    const metric = needed(input, 'metric');
    const gone = await asOrganization(input, (t) => t.limits.remove({ metric, period: periodOf(input) }));
    if (gone === null) {
      throw new TenantryError('TNT_NOT_FOUND', `The organization has no limit of its own for ${metric}.`);
    }
    input.terminal.line(`${input.terminal.paint('good', 'removed')} ${metric} per ${gone.period}`);
    input.terminal.result(gone);
  },
};

function needed(input: CommandInput, name: string): string {
  const value = input.option(name);
  if (value === undefined) throw new TenantryError('TNT_USAGE', `--${name} is needed.`);
  return value;
}

function periodOf(input: CommandInput): 'day' | 'month' {
  const period = input.option('period') ?? 'month';
  if (period !== 'day' && period !== 'month') throw new TenantryError('TNT_USAGE', '--period takes day or month.');
  return period;
}

async function namespaceOf(input: CommandInput, t: Tenantry): Promise<string | undefined> {
  const name = input.option('namespace');
  if (name === undefined) return undefined;
  const found = await t.namespaces.getByName(name);
  if (found === null) throw new TenantryError('TNT_NOT_FOUND', `There is no namespace "${name}" in the organization.`);
  return found.id;
}

export const limitCommands = [check, set, remove];
