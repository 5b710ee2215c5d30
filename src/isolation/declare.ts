import { TenantryError } from '../errors.ts';
import type { OwnerRule, TableDeclaration, TenantKey } from './declaration.ts';
import type { TableFacts } from './facts.ts';

/** What a table declares, checked against its columns. @throws TNT_TABLE_NOT_PROTECTED, TNT_INPUT_INVALID */
export function declare(
  facts: TableFacts,
  { column = 'tenant_id', owner }: { column?: string; owner?: OwnerRule },
): TableDeclaration {
  const table = `${facts.schema}.${facts.table}`;
  const found = facts.columns.find(({ name }) => name === column);
  if (found === undefined) {
    throw new TenantryError('TNT_TABLE_NOT_PROTECTED', `${table} has no tenant column "${column}".`);
  }
  if (owner !== undefined && facts.columns.find(({ name }) => name === owner.column)?.type !== 'uuid') {
    throw new TenantryError(
      'TNT_INPUT_INVALID',
      `The owner column "${owner.column}" of ${table} must be a uuid column.`,
    );
  }
  const declaration = { schema: facts.schema, table: facts.table, column, key: keyOf(found.type) };
  return owner === undefined ? declaration : { ...declaration, owner };
}

/** A uuid column holds the organization's id; any other type holds the host's own key. */
function keyOf(type: string): TenantKey {
  if (type === 'uuid') return { kind: 'uuid' };
  return { kind: 'key', type };
}
