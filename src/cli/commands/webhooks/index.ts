import { TenantryError } from '../../../errors.ts';
import type { WebhookEndpoint } from '../../../outbox/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { parseMoment } from '../../moment.ts';
import { organizationOption, withOrganization, withTenantry } from '../../organization.ts';

/** @throws TNT_NOT_FOUND */
function there<T>(found: T | null): T {
  if (found !== null) return found;
  throw new TenantryError('TNT_NOT_FOUND', 'There is no such endpoint in this organization.', {
    hint: 'List them with: tenantry webhooks list --organization …',
  });
}
const only = (input: CommandInput): string => input.positionals[0] ?? '';

function stateOf({ status, failingSince, disabledReason }: WebhookEndpoint): string {
  if (status === 'disabled') return `disabled${disabledReason === null ? '' : `: ${disabledReason}`}`;
  return failingSince === null ? 'enabled' : `failing since ${failingSince.toISOString()}`;
}

const list: Command = {
  name: 'webhooks list',
  summary: 'List the endpoints of an organization.',
  examples: ['tenantry webhooks list --organization acme'],
  options: organizationOption,
  async run(input) {
    const { items } = await withOrganization(input, (t) => t.webhooks.list({ limit: 200 }));
    input.terminal.table(
      ['id', 'url', 'topics', 'state'],
      items.map((one) => [one.id, one.url, one.topics.join(' '), stateOf(one)]),
    );
    if (items.length === 0) input.terminal.line('There is none. Add one with: tenantry webhooks add URL');
    input.terminal.result(items);
  },
};

/** The only time that a signing secret is seen. */
function printSecret(input: CommandInput, endpoint: WebhookEndpoint, secret: string): void {
  input.terminal.line(secret);
  input.terminal.note(`${endpoint.url} (${endpoint.id}). The secret is shown this once: give it to the receiver now.`);
  input.terminal.result({ endpoint, secret });
}

const add: Command = {
  name: 'webhooks add',
  usage: 'URL',
  summary: 'Add an endpoint, and print its signing secret.',
  examples: [
    'tenantry webhooks add https://example.com/hooks --organization acme --topic "invoice.*" --topic key.leaked',
  ],
  positionals: [1, 1],
  options: {
    ...organizationOption,
    topic: {
      type: 'string',
      value: 'TOPIC',
      multiple: true,
      help: 'A topic, or all under a prefix: invoice.*; repeat it. Defaults to all.',
    },
    description: { type: 'string', value: 'TEXT', help: 'What it is for.' },
  },
  async run(input) {
    const topics = [...input.options('topic')];
    const description = input.option('description');
    const { endpoint, secret } = await withOrganization(input, (t) =>
      t.webhooks.create({
        url: only(input),
        ...(topics.length === 0 ? {} : { topics }),
        ...(description === undefined ? {} : { description }),
      }),
    );
    printSecret(input, endpoint, secret);
  },
};

const rotate: Command = {
  name: 'webhooks rotate',
  usage: 'ID',
  summary: 'Give an endpoint a new signing secret; both sign for a while.',
  examples: ['tenantry webhooks rotate 0198c7a0-0000-7000-8000-000000000001 --organization acme --overlap 48'],
  positionals: [1, 1],
  options: {
    ...organizationOption,
    overlap: { type: 'string', value: 'HOURS', help: 'How long the old secret signs as well. Defaults to 24.' },
  },
  async run(input) {
    const overlapHours = input.number('overlap') ?? 24;
    const made = there(await withOrganization(input, (t) => t.webhooks.rotateSecret(only(input), { overlapHours })));
    printSecret(input, made.endpoint, made.secret);
  },
};

const switchTo = (name: 'enable' | 'disable', status: 'enabled' | 'disabled', summary: string): Command => ({
  name: `webhooks ${name}`,
  usage: 'ID',
  summary,
  examples: [`tenantry webhooks ${name} 0198c7a0-0000-7000-8000-000000000001 --organization acme`],
  positionals: [1, 1],
  options: organizationOption,
  async run(input) {
    const endpoint = there(await withOrganization(input, (t) => t.webhooks.update(only(input), { status })));
    input.terminal.line(`${endpoint.url} is ${stateOf(endpoint)}`);
    input.terminal.result(endpoint);
  },
});

const remove: Command = {
  name: 'webhooks remove',
  usage: 'ID',
  summary: 'Remove an endpoint with its log.',
  examples: ['tenantry webhooks remove 0198c7a0-0000-7000-8000-000000000001 --organization acme'],
  positionals: [1, 1],
  options: organizationOption,
  async run(input) {
    const endpoint = there(await withOrganization(input, (t) => t.webhooks.delete(only(input))));
    input.terminal.line(`${endpoint.url} is removed`);
    input.terminal.result(endpoint);
  },
};

const test: Command = {
  name: 'webhooks test',
  usage: 'ID',
  summary: 'Send a signed webhook.test now, and say what came back.',
  description: 'Ends with 1 when the receiver did not answer with 2xx.',
  examples: ['tenantry webhooks test 0198c7a0-0000-7000-8000-000000000001 --organization acme'],
  positionals: [1, 1],
  options: organizationOption,
  async run(input) {
    const result = there(await withOrganization(input, (t) => t.webhooks.test(only(input))));
    input.terminal.line(
      result.delivered
        ? `${input.terminal.paint('good', 'delivered')}: HTTP ${result.status}`
        : `${input.terminal.paint('bad', 'failed')}: ${result.error}`,
    );
    input.terminal.result(result);
    return result.delivered ? 0 : 1;
  },
};

const replay: Command = {
  name: 'webhooks replay',
  usage: 'ID',
  summary: 'Send again: one event, everything since a moment, or everything.',
  description: 'One event goes out of its order; since and all go in order. The dispatcher sends them.',
  examples: [
    'tenantry webhooks replay 0198c7a0-0000-7000-8000-000000000001 --organization acme --since 24h',
    'tenantry webhooks replay 0198c7a0-0000-7000-8000-000000000001 --organization acme --event 0198c7a0-0000-7000-8000-000000000002',
    'tenantry webhooks replay 0198c7a0-0000-7000-8000-000000000001 --organization acme --all',
  ],
  positionals: [1, 1],
  options: {
    ...organizationOption,
    event: { type: 'string', value: 'ID', help: 'This event.' },
    since: { type: 'string', value: 'TIME', help: 'From then on: 24h back, or a time with a zone.' },
    all: { type: 'boolean', help: 'Everything that is kept.' },
  },
  async run(input) {
    const eventId = input.option('event');
    const since = parseMoment('since', input.option('since'));
    const chosen = [
      ...(eventId === undefined ? [] : [{ eventId }]),
      ...(since === undefined ? [] : [{ since }]),
      ...(input.flag('all') ? [{ all: true as const }] : []),
    ];
    const [which] = chosen;
    if (which === undefined || chosen.length > 1)
      throw new TenantryError('TNT_USAGE', 'Name one of --event, --since and --all.');
    const count = there(await withOrganization(input, (t) => t.webhooks.replay(only(input), which)));
    input.terminal.line(`${count} ${count === 1 ? 'event' : 'events'} will be sent`);
    input.terminal.result({ count });
  },
};

const dead: Command = {
  name: 'webhooks dead',
  summary: 'List what was given up, or send it again.',
  examples: ['tenantry webhooks dead --organization acme', 'tenantry webhooks dead --organization acme --replay'],
  options: {
    ...organizationOption,
    endpoint: { type: 'string', value: 'ID', help: 'Of this endpoint alone.' },
    replay: { type: 'boolean', help: 'Send all of it again.' },
  },
  async run(input) {
    const endpointId = input.option('endpoint');
    if (input.flag('replay')) {
      const count = await withOrganization(input, (t) => t.webhooks.replayDead(endpointId));
      input.terminal.line(`${count} ${count === 1 ? 'event' : 'events'} will be sent`);
      input.terminal.result({ count });
      return;
    }
    const { items } = await withOrganization(input, (t) =>
      t.webhooks.deliveries({ state: 'dead', limit: 200, ...(endpointId === undefined ? {} : { endpointId }) }),
    );
    input.terminal.table(
      ['event', 'topic', 'endpoint', 'attempts', 'last', 'given up'],
      items.map((one) => [
        one.eventId,
        one.topic,
        one.endpointId,
        String(one.attempts),
        one.lastError ?? '-',
        one.updatedAt.toISOString(),
      ]),
    );
    if (items.length === 0) input.terminal.line('There are no dead letters.');
    input.terminal.result(items);
  },
};

const log: Command = {
  name: 'webhooks log',
  summary: 'Show what became of the newest events.',
  examples: [
    'tenantry webhooks log --organization acme',
    'tenantry webhooks log --organization acme --limit 200 --json',
  ],
  options: {
    ...organizationOption,
    endpoint: { type: 'string', value: 'ID', help: 'Of this endpoint alone.' },
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 200. Defaults to 50.' },
  },
  async run(input) {
    const endpointId = input.option('endpoint');
    const limit = input.number('limit') ?? 50;
    const { items } = await withOrganization(input, (t) =>
      t.webhooks.deliveries({ limit, ...(endpointId === undefined ? {} : { endpointId }) }),
    );
    input.terminal.table(
      ['seq', 'topic', 'endpoint', 'state', 'attempts', 'last'],
      items.map((one) => [
        String(one.seq),
        one.topic,
        one.endpointId,
        one.state,
        String(one.attempts),
        one.lastError ?? (one.lastStatus === null ? '-' : `HTTP ${one.lastStatus}`),
      ]),
    );
    input.terminal.result(items);
  },
};

const run: Command = {
  name: 'webhooks run',
  summary: 'Send webhooks until interrupted: a dispatcher for applications that start none of their own.',
  description: 'Any number of them may run at once. Takes the vault’s keys (TENANTRY_VAULT_KEYS).',
  examples: ['tenantry webhooks run', 'tenantry webhooks run --concurrency 64'],
  options: {
    concurrency: { type: 'string', value: 'N', help: 'Endpoints at work at once. Defaults to 32.' },
  },
  async run(input) {
    const concurrency = input.number('concurrency') ?? 32;
    await withTenantry(
      input,
      async (t) => {
        const dispatcher = t.outbox.dispatcher({
          concurrency,
          onError: (error) => input.terminal.note(error instanceof Error ? error.message : String(error)),
        });
        await dispatcher.start();
        input.terminal.note('Sending webhooks. Ctrl-C ends it.');
        await new Promise<void>((done) => {
          if (input.signal.aborted) done();
          input.signal.addEventListener('abort', () => done(), { once: true });
        });
        await dispatcher.stop();
      },
      { login: 'app' },
    );
  },
};

export const webhookCommands = [
  list,
  add,
  rotate,
  switchTo('enable', 'enabled', 'Send to an endpoint again, from where it stood.'),
  switchTo('disable', 'disabled', 'Stop sending to an endpoint; events wait for it.'),
  remove,
  test,
  replay,
  dead,
  log,
  run,
];
