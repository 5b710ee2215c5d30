import { createAudit } from '../../../audit/index.ts';
import { withTenant } from '../../../context/index.ts';
import { createKernel } from '../../../database/kernel.ts';
import { renderSchema } from '../../../database/sql.ts';
import { TenantryError } from '../../../errors.ts';
import { type ApiKey, createKeys, type CreatedKey, type Keys } from '../../../keys/index.ts';
import { createPool } from '../../../pool/index.ts';
import type { CommandInput, OptionSpec } from '../../command.ts';

export const organizationOption: Readonly<Record<string, OptionSpec>> = {
  organization: { type: 'string', value: 'ID|SLUG', help: 'Whose keys.' },
};

export const restrictionOptions: Readonly<Record<string, OptionSpec>> = {
  permission: {
    type: 'string',
    value: 'NAME',
    multiple: true,
    help: 'read, write, delete, or one of your own; repeat it. Defaults to read.',
  },
  origin: {
    type: 'string',
    value: 'ORIGIN',
    multiple: true,
    help: 'Allowed from there alone; repeat it. https://*.example.com is every name below.',
  },
  address: { type: 'string', value: 'CIDR', multiple: true, help: 'Allowed from there alone; repeat it.' },
  rate: { type: 'string', value: 'N/SPAN', help: 'Requests in a span: 100/1m, 5000/1d.' },
  expires: { type: 'string', value: 'SPAN|TIME', help: 'Ends in 30d, or at a time with a zone.' },
};

/** The service over the migrating login, which no policy holds: an operator's hand. Closed after `fn`. */
export async function withKeys<T>(input: CommandInput, fn: (keys: Keys) => Promise<T>): Promise<T> {
  const { schema } = await input.config();
  const pool = createPool({ connectionString: (await input.database()).adminUrl, max: 2 });
  pool.on('error', () => {});
  const kernel = createKernel(pool, schema);
  // one command: what it would cache it asks once
  const keys = createKeys(kernel, createAudit(kernel), { cache: false });
  try {
    return await fn(keys);
  } finally {
    await keys.close();
    await pool.end();
  }
}

/** The same for the organization that --organization names. @throws TNT_USAGE, TNT_TENANT_UNKNOWN */
export async function withOrganizationKeys<T>(input: CommandInput, fn: (keys: Keys) => Promise<T>): Promise<T> {
  const name = input.option('organization');
  if (name === undefined) throw new TenantryError('TNT_USAGE', '--organization is needed.');
  const { schema } = await input.config();
  const { rows } = await (await input.database())
    .admin()
    .query<{ id: string }>(
      renderSchema(
        'select o.id from tenantry.organizations o where o.id::text = lower($1::text) or o.slug = $1::text',
        schema,
      ),
      [name],
    );
  const [organization] = rows;
  if (organization === undefined) throw new TenantryError('TNT_TENANT_UNKNOWN', `There is no organization "${name}".`);
  return withKeys(input, (keys) => withTenant({ tenantId: organization.id }, () => fn(keys)));
}

export function printKey(input: CommandInput, key: ApiKey): void {
  const { terminal } = input;
  const text = (value: Date | string | null): string => (value instanceof Date ? value.toISOString() : (value ?? '-'));
  const lines: [string, string][] = [
    ['id', key.id],
    ['name', key.name],
    ['kind', key.kind],
    ['status', key.status],
    ['environment', key.environment],
    ['namespace', text(key.namespaceId)],
    ['permissions', key.permissions.join(', ') || '-'],
    ['origins', key.allowedOrigins.join(', ') || 'any'],
    ['addresses', key.allowedAddresses.join(', ') || 'any'],
    ['rate', key.rateLimit === null ? '-' : `${key.rateLimit.limit} in ${key.rateLimit.periodMs} ms`],
    ['expires', text(key.expiresAt)],
    ['revoked', text(key.revokedAt)],
    ['restorable', text(key.restorableUntil)],
    ['last used', text(key.lastUsedAt)],
    ...key.secrets.map(({ hint, expiresAt }): [string, string] => [
      'begins',
      `${hint}…${expiresAt === null ? '' : ` until ${expiresAt.toISOString()}`}`,
    ]),
  ];
  for (const [name, value] of lines) terminal.line(`${name.padEnd(12)} ${value}`);
}

/** The only time that a key's text is seen. */
export function printNewKey(input: CommandInput, { key, apiKey }: CreatedKey): void {
  input.terminal.line(key);
  input.terminal.note(`${apiKey.name} (${apiKey.id}). It is shown this once: store it now.`);
  input.terminal.result({ key, apiKey });
}

/** A secret from standard input: arguments are seen by every user of the machine. @throws TNT_USAGE */
export async function readInput(what: string, stream: AsyncIterable<Buffer | string> = process.stdin): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  const text = Buffer.concat(parts).toString('utf8').trim();
  if (text === '') throw new TenantryError('TNT_USAGE', `Standard input is empty: ${what} is read from there.`);
  return text;
}

export function only(input: CommandInput): string {
  return input.positionals[0] ?? '';
}

/** @throws TNT_NOT_FOUND */
export function there<T>(key: T | null): T {
  if (key === null) {
    throw new TenantryError('TNT_NOT_FOUND', 'There is no such API key in this organization.', {
      hint: 'List them with: tenantry keys list --organization …',
    });
  }
  return key;
}
