import { readFile } from 'node:fs/promises';
import { withSystem } from '../../../context/index.ts';
import { TenantryError } from '../../../errors.ts';
import type { PlanPublish } from '../../../metering/plans/index.ts';
import type { Command } from '../../command.ts';
import { organizationOption } from '../../organization.ts';
import { asOperator, forOrganization, required } from './shared.ts';

const versionOption = {
  version: { type: 'string', value: 'N', help: 'Which version. Defaults to the newest.' },
} as const;

const list: Command = {
  name: 'plans list',
  summary: 'List the plans that are offered, and with --organization its own.',
  examples: ['tenantry plans list', 'tenantry plans list --organization acme --json'],
  options: organizationOption,
  async run(input) {
    const plans =
      input.option('organization') === undefined
        ? await asOperator(input, (t) => withSystem('list plans', () => t.plans.list()))
        : await forOrganization(input, (t) => t.plans.list());
    input.terminal.table(
      ['key', 'version', 'tier', 'name', 'base fee', 'due', 'trial', 'available'],
      plans.map((plan) => [
        plan.key,
        String(plan.version),
        plan.tier,
        plan.name,
        `${plan.basePrice} ${plan.currency}`,
        plan.baseTiming,
        `${plan.trialDays} d`,
        plan.available ? 'yes' : 'not yet',
      ]),
    );
    input.terminal.result(plans);
  },
};

const show: Command = {
  name: 'plans show',
  usage: 'KEY',
  summary: 'Show a plan with what it includes of each metric, and what more costs.',
  examples: ['tenantry plans show support-pro', 'tenantry plans show support-pro --version 1 --json'],
  options: { ...organizationOption, ...versionOption },
  positionals: [1, 1],
  async run(input) {
    const [key = ''] = input.positionals;
    const version = input.number('version');
    const plan =
      input.option('organization') === undefined
        ? await asOperator(input, (t) => withSystem('show a plan', () => t.plans.get(key, version)))
        : await forOrganization(input, (t) => t.plans.get(key, version));
    if (plan === null) {
      throw new TenantryError('TNT_NOT_FOUND', 'There is no such plan, or not in this version.', {
        hint: 'List the plans with: tenantry plans list',
      });
    }
    input.terminal.line(`${plan.key} ${plan.version}: ${plan.name}, ${plan.basePrice} ${plan.currency} per month`);
    input.terminal.table(
      ['metric', 'per', 'included', 'past it', 'price'],
      Object.entries(plan.metrics).map(([metric, terms]) => [
        metric,
        terms.period,
        terms.included ?? 'unlimited',
        terms.hard ? 'refused' : 'allowed',
        terms.tiers === null
          ? '-'
          : `${terms.model} ${terms.tiers.map(({ upTo, unit }) => `${unit}${upTo === null ? '' : ` up to ${upTo}`}`).join(', ')}`,
      ]),
    );
    input.terminal.result(plan);
  },
};

const publish: Command = {
  name: 'plans publish',
  usage: 'FILE',
  summary: 'Publish the next version of a plan from a JSON file.',
  description: 'A version that was subscribed to never changes: those who have it keep it until they change.',
  examples: ['tenantry plans publish plans/pro.json'],
  positionals: [1, 1],
  async run(input) {
    const [file = ''] = input.positionals;
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new TenantryError('TNT_USAGE', `The file ${file} cannot be read.`, { cause });
    });
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch (cause) {
      throw new TenantryError('TNT_USAGE', `The file ${file} is not JSON.`, { cause });
    }
    const plan = await asOperator(input, (t) => t.plans.operator.publish(content as PlanPublish));
    input.terminal.line(`${input.terminal.paint('good', 'published')} ${plan.key}, version ${plan.version}`);
    input.terminal.result(plan);
  },
};

const approve: Command = {
  name: 'plans approve',
  usage: 'KEY',
  summary: 'Let an organization subscribe to a plan that it defined for itself.',
  examples: ['tenantry plans approve acme-2026 --organization acme --version 1'],
  options: {
    ...organizationOption,
    version: { type: 'string', value: 'N', help: 'Which version.' },
    'trial-days': { type: 'string', value: 'N', help: 'Trial at its start. Defaults to none.' },
  },
  positionals: [1, 1],
  async run(input) {
    const [key = ''] = input.positionals;
    required(input, 'version');
    const version = input.number('version') ?? 1;
    const trialDays = input.number('trial-days') ?? 0;
    await forOrganization(input, (t) => t.plans.operator.approve(key, version, { trialDays }));
    input.terminal.line(`${input.terminal.paint('good', 'approved')} ${key}, version ${version}`);
    input.terminal.result({ key, version });
  },
};

const subscribe: Command = {
  name: 'plans subscribe',
  usage: 'KEY',
  summary: 'Subscribe an organization to a plan, or change its plan.',
  examples: [
    'tenantry plans subscribe support-pro --organization acme --time-zone Europe/Berlin',
    'tenantry plans subscribe support-basic --organization acme --when period_end',
  ],
  options: {
    ...organizationOption,
    ...versionOption,
    'time-zone': { type: 'string', value: 'NAME', help: 'Of a new subscription. Defaults to the organization’s.' },
    align: { type: 'string', value: 'HOW', help: 'anniversary or calendar months. Defaults to anniversary.' },
    when: { type: 'string', value: 'WHEN', help: 'Of a change: now or period_end. Defaults to now.' },
  },
  positionals: [1, 1],
  async run(input) {
    const [plan = ''] = input.positionals;
    const version = input.number('version');
    const [timeZone, align, when] = [input.option('time-zone'), input.option('align'), input.option('when')];
    const subscription = await forOrganization(input, async ({ billing }) => {
      const current = await billing.subscription();
      const of = { plan, ...(version === undefined ? {} : { version }) };
      if (current !== null && current.status !== 'canceled') {
        return billing.operator.changePlan({ ...of, ...(when === undefined ? {} : { when: when as 'now' }) });
      }
      return billing.operator.subscribe({
        ...of,
        ...(timeZone === undefined ? {} : { timeZone }),
        ...(align === undefined ? {} : { align: align as 'calendar' }),
      });
    });
    const { status, plan: now, next } = subscription;
    input.terminal.line(`${input.terminal.paint('good', status)} ${now.key} ${now.version}`);
    if (next !== null) input.terminal.line(`from ${next.at.toISOString()}: ${next.plan} ${next.version}`);
    input.terminal.result(subscription);
  },
};

export const planCommands = [list, show, publish, approve, subscribe];
