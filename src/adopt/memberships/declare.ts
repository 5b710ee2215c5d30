import type { ColumnFacts, Inspection, TableFacts } from '../inspection.ts';
import type { KeyColumn } from '../key-text.ts';
import { keyColumn } from '../roots.ts';
import type { MembershipDecisions, MembershipPlan, MembershipSource, MembershipSourceDecision } from './types.ts';

/** What is wrong with a declaration, and where: `['from', 0, 'user']`. */
export class MembershipProblem extends Error {
  override readonly name = 'MembershipProblem';
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.path = path;
  }
}

/** How an organization is told apart: by a key of so many columns, or there is only one. */
export interface KeyShape {
  readonly columns: number;
  readonly constant: boolean;
}

/**
 * Finds the declaration's tables and columns in the database.
 *
 * @throws MembershipProblem with the place of what is not there
 */
export function declareMemberships(
  inspection: Inspection,
  decisions: MembershipDecisions,
  shape: KeyShape,
): MembershipPlan {
  const facts = tableOf(inspection, decisions.users.table, ['users', 'table']);
  const users = { ...decisions.users, table: facts.name };
  const userKey = columnOf(facts, users.key, ['users', 'key']);
  columnOf(facts, users.email, ['users', 'email']);
  if (users.name !== undefined) columnOf(facts, users.name, ['users', 'name']);
  const sources = decisions.from.map((source, i) => declareSource(inspection, source, shape, ['from', i]));
  return {
    decisions,
    users,
    userKey,
    sources,
    tables: [...new Set([users.table, ...sources.map((source) => source.table)])],
  };
}

function declareSource(
  inspection: Inspection,
  source: MembershipSourceDecision,
  shape: KeyShape,
  path: readonly (string | number)[],
): MembershipSource {
  const facts = tableOf(inspection, source.table, [...path, 'table']);
  const userColumn = columnOf(facts, source.user, [...path, 'user']);
  if (source.organization !== undefined && source.organizations !== undefined)
    throw new MembershipProblem(
      [...path, 'organizations'],
      'has organization and organizations: one column or an array',
    );
  if (source.role !== undefined && source.roles_column !== undefined)
    throw new MembershipProblem([...path, 'roles_column'], 'has role and roles_column: one column or an array');
  const single = source.organization === undefined ? [] : [source.organization].flat();
  if (source.organizations === undefined && single.length !== (shape.constant ? 0 : shape.columns)) {
    throw new MembershipProblem(
      [...path, single.length === 0 ? 'table' : 'organization'],
      shape.constant
        ? 'names an organization, but the plan has one constant organization: leave it out'
        : `needs the ${shape.columns === 1 ? 'column' : `${shape.columns} columns`} with the organization's key (organization or organizations)`,
    );
  }
  if (source.organizations !== undefined && (shape.constant || shape.columns !== 1))
    throw new MembershipProblem([...path, 'organizations'], 'an array holds keys of one column');
  const organizations =
    source.organizations === undefined
      ? undefined
      : columnFacts(facts, source.organizations, [...path, 'organizations']);
  const array = organizations === undefined ? 'none' : arrayKind(organizations, [...path, 'organizations']);
  if (source.role !== undefined) columnOf(facts, source.role, [...path, 'role']);
  const roles =
    source.roles_column === undefined ? undefined : columnFacts(facts, source.roles_column, [...path, 'roles_column']);
  const rolesArray = roles === undefined ? 'none' : arrayKind(roles, [...path, 'roles_column']);
  if (source.roles_by === 'position' && (array === 'none' || rolesArray === 'none'))
    throw new MembershipProblem([...path, 'roles_by'], 'position needs an array of organizations and one of roles');
  return {
    ...source,
    table: facts.name,
    userColumn,
    organizationColumns:
      organizations === undefined
        ? single.map((name) => columnOf(facts, name, [...path, 'organization']))
        : [{ name: organizations.name, type: elementType(organizations) }],
    array,
    rolesArray,
    // least privilege: what nobody mapped is a plain member
    roleMap: { ...(source.roles ?? { admin: 'admin' }), '*': source.roles?.['*'] ?? 'member' },
  };
}

function tableOf(inspection: Inspection, name: string, path: readonly (string | number)[]): TableFacts {
  // public.user is what a person writes, public."user" what SQL needs
  const facts =
    inspection.tables.find((table) => table.name === name) ??
    inspection.tables.find((table) => `${table.schema}.${table.table}` === name);
  if (facts === undefined)
    throw new MembershipProblem(path, `there is no table ${name} (write it as it stands under tables)`);
  return facts;
}

function columnFacts(facts: TableFacts, name: string, path: readonly (string | number)[]): ColumnFacts {
  const column = facts.columns.find((c) => c.name === name);
  if (column === undefined) {
    const known = facts.columns.map((c) => c.name).join(', ');
    throw new MembershipProblem(path, `${facts.name} has no column ${name}; its columns are ${known}`);
  }
  return column;
}

function columnOf(facts: TableFacts, name: string, path: readonly (string | number)[]): KeyColumn {
  return keyColumn(columnFacts(facts, name, path));
}

const elementType = (column: ColumnFacts): string => (column.baseType ?? column.type).replace(/\[\]$/, '');

function arrayKind(column: ColumnFacts, path: readonly (string | number)[]): 'array' | 'json' {
  const type = column.baseType ?? column.type;
  if (type.endsWith('[]')) return 'array';
  if (type === 'json' || type === 'jsonb') return 'json';
  throw new MembershipProblem(path, `${column.name} is ${column.type}, not an array`);
}
