import { currentTenant } from '../../../context/index.ts';
import { renderSchema } from '../../../database/sql.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { KeyCreate, KeyImport } from '../../../keys/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import {
  only,
  organizationOption,
  printNewKey,
  readInput,
  restrictionOptions,
  there,
  withOrganizationKeys,
} from './shared.ts';
import { parseEnd, parseRate, parseSpan } from './spans.ts';

async function namespaceId(input: CommandInput): Promise<string | null> {
  const name = input.option('namespace');
  if (name === undefined) return null;
  const { schema } = await input.config();
  const { rows } = await (await input.database())
    .admin()
    .query<{ id: string }>(
      renderSchema(
        'select n.id from tenantry.namespaces n where n.tenant_id = $1::uuid and (n.name = $2::text or n.id::text = lower($2::text))',
        schema,
      ),
      [currentTenant().tenantId, name],
    );
  if (rows[0] === undefined) throw new TenantryError('TNT_NOT_FOUND', `There is no namespace "${name}".`);
  return rows[0].id;
}

export const create: Command = {
  name: 'keys create',
  summary: 'Make an API key and print it, once.',
  examples: [
    'tenantry keys create --organization acme --name "Server" --permission read --permission write',
    'tenantry keys create --organization acme --name "Widget" --kind widget --origin https://shop.example.com',
    'tenantry keys create --organization acme --name "CI" --namespace staging --expires 30d --rate 100/1m --json',
  ],
  options: {
    ...organizationOption,
    name: { type: 'string', value: 'NAME', help: '1 to 255 characters.' },
    namespace: { type: 'string', value: 'NAME|ID', help: 'Confines the key to it. Without: the whole organization.' },
    kind: { type: 'string', value: 'KIND', help: 'secret (default), or widget for public pages.' },
    environment: {
      type: 'string',
      value: 'NAME',
      help: 'development, staging or production (default); with a namespace: the namespace’s.',
    },
    ...restrictionOptions,
  },
  async run(input) {
    const name = input.option('name');
    if (name === undefined) throw new TenantryError('TNT_USAGE', '--name is needed.');
    const [expiresAt, rateLimit] = [parseEnd('expires', input.option('expires')), parseRate(input.option('rate'))];
    const [kind, environment] = [input.option('kind'), input.option('environment')];
    await withOrganizationKeys(input, async (keys) => {
      const permissions = input.options('permission');
      const wanted = {
        name,
        namespaceId: await namespaceId(input),
        ...(kind === undefined ? {} : { kind }),
        ...(environment === undefined ? {} : { environment }),
        ...(permissions.length === 0 ? {} : { permissions: [...permissions] }),
        allowedOrigins: [...input.options('origin')],
        allowedAddresses: [...input.options('address')],
        rateLimit: rateLimit ?? null,
        expiresAt: expiresAt ?? null,
      };
      // what a person typed is checked where everything is
      printNewKey(input, await keys.create(wanted as KeyCreate));
    });
  },
};

export const rotate: Command = {
  name: 'keys rotate',
  usage: 'ID',
  summary: 'Give a key a new text and print it, once; the old one goes on for as long as you choose.',
  examples: [
    'tenantry keys rotate 0198c7a0-0000-7000-8000-000000000001 --organization acme --overlap 24h',
    'tenantry keys rotate 0198c7a0-0000-7000-8000-000000000001 --organization acme --overlap 0',
  ],
  positionals: [1, 1],
  options: {
    ...organizationOption,
    overlap: {
      type: 'string',
      value: 'SPAN',
      help: 'How long the old text still works: 0, 15m, 24h, 7d. Defaults to 24h.',
    },
  },
  async run(input) {
    const overlapMs = parseSpan('overlap', input.option('overlap'));
    await withOrganizationKeys(input, async (keys) => {
      printNewKey(input, there(await keys.rotate(only(input), overlapMs === undefined ? {} : { overlapMs })));
    });
  },
};

export const importKeys: Command = {
  name: 'keys import',
  summary: 'Take over keys that were made elsewhere, from standard input.',
  description:
    'One JSON object per line: { "name", "key" } or { "name", "bcryptHash", "lookupPrefix" }, and what else a key may have. All of them or none. Keys that came as a hash are hashed anew at their first use.',
  examples: ['tenantry keys import --organization acme < keys.jsonl'],
  options: {
    ...organizationOption,
    namespace: { type: 'string', value: 'NAME|ID', help: 'For lines that name none.' },
    'dry-run': { type: 'boolean', help: 'Check every line and change nothing.' },
  },
  async run(input) {
    const lines = (await readInput('a list of keys')).split('\n').filter((line) => line.trim() !== '');
    const parsed = lines.map((line, i) => {
      try {
        return JSON.parse(line) as KeyImport;
      } catch {
        throw new TenantryError('TNT_INPUT_INVALID', `Line ${i + 1} is not JSON.`);
      }
    });
    await withOrganizationKeys(input, async (keys) => {
      const namespace = await namespaceId(input);
      const wanted = parsed.map((key) => ({ namespaceId: namespace, ...key }));
      const made = await keys.importMany(wanted, { dryRun: input.flag('dry-run') });
      input.terminal.line(
        input.flag('dry-run')
          ? `${counted(made.length, 'key')} can be imported; nothing was changed.`
          : `${counted(made.length, 'key')} imported.`,
      );
      input.terminal.result(made);
    });
  },
};
