import type { Environment, Namespace, NamespaceLimits } from '../../directory/index.ts';
import { TenantryError } from '../../errors.ts';
import type { Tenantry } from '../../tenantry.ts';
import type { Command, CommandInput, OptionSpec } from '../command.ts';
import { asOrganization, organizationOption, quantityOf } from './as-organization.ts';

const settings: Readonly<Record<string, OptionSpec>> = {
  environment: { type: 'string', value: 'NAME', help: 'development, staging or production.' },
  limit: {
    type: 'string',
    value: 'METRIC=N',
    multiple: true,
    help: 'A limit of its own: memories_per_month=1000, api_calls_per_day=unlimited; repeat it.',
  },
};

const list: Command = {
  name: 'namespaces list',
  summary: 'List the namespaces of an organization.',
  examples: ['tenantry namespaces list --organization acme', 'tenantry namespaces list --organization acme --json'],
  options: organizationOption,
  async run(input) {
    const { items, defaultId } = await asOrganization(input, async (t) => ({
      items: await all(t),
      defaultId: (await t.namespaces.settings()).defaultNamespaceId,
    }));
    input.terminal.table(
      ['name', 'environment', 'active', 'default', 'limits', 'id'],
      items.map((one) => [
        one.name,
        one.environment,
        one.active ? 'yes' : 'no',
        one.id === defaultId ? 'yes' : '',
        limitsText(one.limits),
        one.id,
      ]),
    );
    if (items.length === 0) input.terminal.line('There is none. Make one with: tenantry namespaces create');
    input.terminal.result(items.map((one) => ({ ...one, default: one.id === defaultId })));
  },
};

const create: Command = {
  name: 'namespaces create',
  summary: 'Make a namespace; the first one of an organization becomes its default.',
  examples: [
    'tenantry namespaces create --organization acme --name production --environment production',
    'tenantry namespaces create --organization acme --name trial --limit memories_per_month=1000',
  ],
  options: {
    ...organizationOption,
    name: { type: 'string', value: 'NAME', help: '1 to 255 characters; unique in the organization.' },
    ...settings,
  },
  async run(input) {
    const name = input.option('name');
    if (name === undefined) throw new TenantryError('TNT_USAGE', '--name is needed.');
    const limits = limitsOf(input.options('limit'));
    const made = await asOrganization(input, (t) =>
      t.namespaces.create({ name, ...environmentOf(input), ...(limits === undefined ? {} : { limits }) }),
    );
    print(input, 'created', made);
  },
};

const update: Command = {
  name: 'namespaces update',
  usage: 'NAME',
  summary: 'Change a namespace: environment, limits, on or off, the default.',
  description: 'With --limit its limits are replaced by those that are named; --no-limits takes them all away.',
  examples: [
    'tenantry namespaces update production --organization acme --limit api_calls_per_day=50000',
    'tenantry namespaces update old --organization acme --deactivate',
    'tenantry namespaces update production --organization acme --default',
  ],
  positionals: [1, 1],
  options: {
    ...organizationOption,
    ...settings,
    'no-limits': { type: 'boolean', help: 'No limits of its own: it has those of the plan.' },
    activate: { type: 'boolean', help: 'Switch it on.' },
    deactivate: { type: 'boolean', help: 'Switch it off: it takes nothing new, and its keys are refused.' },
    default: { type: 'boolean', help: 'Make it the default.' },
  },
  async run(input) {
    if (input.flag('activate') && input.flag('deactivate')) {
      throw new TenantryError('TNT_USAGE', '--activate and --deactivate exclude each other.');
    }
    const limits = input.flag('no-limits') ? {} : limitsOf(input.options('limit'));
    const changed = await asOrganization(input, async (t) => {
      const { id } = await named(input, t);
      if (input.flag('default')) await t.namespaces.updateSettings({ defaultNamespaceId: id });
      return t.namespaces.update(id, {
        ...environmentOf(input),
        ...(limits === undefined ? {} : { limits }),
        ...(input.flag('activate') ? { active: true } : {}),
        ...(input.flag('deactivate') ? { active: false } : {}),
      });
    });
    if (changed !== null) print(input, 'updated', changed);
  },
};

const remove: Command = {
  name: 'namespaces delete',
  usage: 'NAME',
  summary: 'Delete a namespace that holds no end users and is not the default.',
  examples: ['tenantry namespaces delete old --organization acme'],
  positionals: [1, 1],
  options: organizationOption,
  async run(input) {
    const gone = await asOrganization(input, async (t) => t.namespaces.delete((await named(input, t)).id));
    if (gone !== null) print(input, 'deleted', gone);
  },
};

async function all(t: Tenantry): Promise<Namespace[]> {
  const items: Namespace[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await t.namespaces.list({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
}

async function named(input: CommandInput, t: Tenantry): Promise<Namespace> {
  const name = input.positionals[0] ?? '';
  const found = (await t.namespaces.getByName(name)) ?? (await t.namespaces.get(name));
  if (found === null) throw new TenantryError('TNT_NOT_FOUND', `There is no namespace "${name}" in the organization.`);
  return found;
}

function environmentOf(input: CommandInput): { environment?: Environment } {
  const environment = input.option('environment');
  if (environment === undefined) return {};
  if (environment !== 'development' && environment !== 'staging' && environment !== 'production') {
    throw new TenantryError('TNT_USAGE', '--environment takes development, staging or production.');
  }
  return { environment };
}

function limitsOf(texts: readonly string[]): NamespaceLimits | undefined {
  if (texts.length === 0) return undefined;
  return Object.fromEntries(
    texts.map((text) => {
      const [, metric, quantity] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (metric === undefined || quantity === undefined) {
        throw new TenantryError('TNT_USAGE', '--limit takes METRIC=N or METRIC=unlimited.');
      }
      return [metric, quantityOf(quantity, '--limit')];
    }),
  );
}

function limitsText(limits: NamespaceLimits): string {
  const texts = Object.entries(limits).map(([metric, value]) => {
    const [limit, hard] = typeof value === 'object' && value !== null ? [value.limit, value.hard] : [value, undefined];
    return `${metric}=${limit ?? 'unlimited'}${hard === false ? ' (soft)' : ''}`;
  });
  return texts.join(', ') || '-';
}

function print(input: CommandInput, what: string, one: Namespace): void {
  const { terminal } = input;
  const facts = [one.environment, one.active ? 'active' : 'inactive', `limits ${limitsText(one.limits)}`, one.id];
  terminal.line(`${terminal.paint('good', what)} ${one.name}: ${facts.join(', ')}`);
  terminal.result(one);
}

export const namespaceCommands = [list, create, update, remove];
