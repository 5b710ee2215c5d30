import { qualifiedName } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { Binding } from './sealed-value.ts';

/** A column of sealed values: what a rotation of data keys encrypts anew. */
export interface SealedColumn {
  /** As it was given to `seal`: the table's name in the binding. */
  readonly table: string;
  readonly column: string;
  /** The column that holds what was given as `row`. Defaults to `id`. */
  readonly row?: string;
  /** The column that holds the organization's id. Defaults to `tenant_id`. */
  readonly tenant?: string;
  /** The schema of the table. Defaults to `public`. */
  readonly schema?: string;
}

/** One place where values stand, with all that a statement over it needs. Identifiers are ours or quoted. */
export interface SealedPlace {
  readonly name: string;
  /** Written for the schema `tenantry`, or quoted. */
  readonly relation: string;
  readonly tenant: string;
  /** Values that stand under one data key. Of several, each is sealed anew in the same statement. */
  readonly columns: readonly { readonly column: string; readonly binding: (row: string) => Binding }[];
  /** The row as text, as the binding has it. */
  readonly rowText: string;
  /** Whether the values' data key is a column, or must be read from the text. */
  readonly dataKey: string;
}

const ours = (table: string, columns: readonly string[], rowText = 'x.id::text'): SealedPlace => ({
  name: `tenantry.${table}`,
  relation: `tenantry.${table}`,
  tenant: 'tenant_id',
  rowText,
  dataKey: 'x.data_key',
  columns: columns.map((column) => ({ column, binding: (row) => ({ table: `tenantry.${table}`, column, row }) })),
});

/** Where Tenantry itself keeps sealed values. A test holds this list and the catalogue in step. */
export const ownPlaces: readonly SealedPlace[] = [
  ours('secret_versions', ['value'], `x.secret_id::text || '/' || x.version::text`),
  ours('oauth_providers', ['client_secret']),
  ours('oauth_tokens', ['access_token', 'refresh_token']),
  ours('oauth_revocations', ['token']),
  // begun and not finished: sealed anew like the rest, so that a rotation sends nobody back to the start
  ours('oauth_states', ['checks']),
];

/** @throws TNT_CONFIG_INVALID */
export function placeOf({
  table,
  column,
  row = 'id',
  tenant = 'tenant_id',
  schema = 'public',
}: SealedColumn): SealedPlace {
  const quoted = (name: string): string => {
    if (name === '' || name.includes('\0'))
      throw new TenantryError('TNT_CONFIG_INVALID', 'vault.columns: a name is empty.');
    return `"${name.replaceAll('"', '""')}"`;
  };
  const value = `x.${quoted(column)}`;
  return {
    name: `${table}.${column}`,
    relation: qualifiedName(schema, table.startsWith(`${schema}.`) ? table.slice(schema.length + 1) : table),
    tenant: quoted(tenant),
    rowText: `x.${quoted(row)}::text`,
    dataKey: `substring(${value} from '^v1\\.([1-9][0-9]{0,8})\\.')::int`,
    columns: [{ column: quoted(column), binding: (text) => ({ table, column, row: text }) }],
  };
}
