import { withTenant } from '../context/index.ts';
import { renderSchema } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { createPool } from '../pool/index.ts';
import { createTenantry, type Tenantry, type TenantryOptions } from '../tenantry.ts';
import type { CommandInput, OptionSpec } from './command.ts';

export const organizationOption: Readonly<Record<string, OptionSpec>> = {
  organization: { type: 'string', value: 'ID|SLUG', help: 'Whose.' },
};

/**
 * The services over the migrating login, which no policy holds: an operator's hand. With `login: 'app'` over the
 * application's, which is held like the application itself. Closed after `fn`.
 */
export async function withTenantry<T>(
  input: CommandInput,
  fn: (t: Tenantry) => Promise<T>,
  { login = 'admin', ...options }: Omit<TenantryOptions, 'pool' | 'schema'> & { readonly login?: 'admin' | 'app' } = {},
): Promise<T> {
  const { schema, webhooks } = await input.config();
  const { adminUrl, appUrl } = await input.database();
  const pool = createPool({ connectionString: login === 'app' ? appUrl : adminUrl, max: login === 'app' ? 10 : 4 });
  pool.on('error', () => {});
  const t = createTenantry({ pool, schema, webhooks, ...options });
  try {
    return await fn(t);
  } finally {
    await t.close();
    await pool.end();
  }
}

/** @throws TNT_TENANT_UNKNOWN */
async function findOrganization(input: CommandInput, name: string): Promise<string> {
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
  return organization.id;
}

/** Runs `fn` for the organization that --organization names. @throws TNT_USAGE, TNT_TENANT_UNKNOWN */
export async function withOrganization<T>(input: CommandInput, fn: (t: Tenantry) => Promise<T>): Promise<T> {
  const name = input.option('organization');
  if (name === undefined) throw new TenantryError('TNT_USAGE', '--organization is needed.');
  const tenantId = await findOrganization(input, name);
  return withTenantry(input, (t) => withTenant({ tenantId }, () => fn(t)));
}

/** The one of --organization, or every organization by id. */
export async function* organizationIds(input: CommandInput): AsyncGenerator<string> {
  const name = input.option('organization');
  if (name !== undefined) {
    yield await findOrganization(input, name);
    return;
  }
  const { schema } = await input.config();
  const admin = (await input.database()).admin();
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const { rows } = await admin.query<{ id: string }>(
      renderSchema('select o.id from tenantry.organizations o where o.id > $1::uuid order by o.id limit 1000', schema),
      [after],
    );
    for (const { id } of rows) yield id;
    const last = rows.at(-1);
    if (last === undefined || rows.length < 1000) return;
    after = last.id;
  }
}
