import { withTenant } from '../../context/index.ts';
import { renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import { createPool } from '../../pool/index.ts';
import { createTenantry, type Tenantry } from '../../tenantry.ts';
import type { CommandInput, OptionSpec } from '../command.ts';

export const organizationOption: Readonly<Record<string, OptionSpec>> = {
  organization: { type: 'string', value: 'ID|SLUG', help: 'Of which organization.' },
};

/**
 * Everything that Tenantry offers, for the organization that --organization names and over the migrating login, which no
 * policy holds: an operator's hand. Closed after `fn`.
 *
 * @throws TNT_USAGE, TNT_TENANT_UNKNOWN
 */
export async function asOrganization<T>(input: CommandInput, fn: (t: Tenantry) => Promise<T>): Promise<T> {
  const name = input.option('organization');
  if (name === undefined) throw new TenantryError('TNT_USAGE', '--organization is needed.');
  const { schema } = await input.config();
  const database = await input.database();
  const { rows } = await database
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
  const pool = createPool({ connectionString: database.adminUrl, max: 2 });
  pool.on('error', () => {}); // an idle connection that ends is replaced at the next use
  const t = createTenantry({ pool, schema, keys: { cache: false } });
  try {
    return await withTenant({ tenantId: organization.id }, () => fn(t));
  } finally {
    await t.close();
    await pool.end();
  }
}

/** A number, or `unlimited`. @throws TNT_USAGE */
export function quantityOf(text: string, option: string): number | null {
  if (text === 'unlimited') return null;
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) {
    throw new TenantryError('TNT_USAGE', `${option} takes a number of at least 0, or unlimited.`);
  }
  return value;
}
