import { ident, literal, qualifiedName, renderSchema, type Statement } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { OwnerRule, TableDeclaration } from './declaration.ts';
import type { TableFacts } from './facts.ts';
import { type KnownTable, planMode } from './plan-mode.ts';
import { declare } from './declare.ts';

export interface ProtectOptions {
  /** The tenant column; added as uuid when absent. Default `tenant_id`. */
  readonly column?: string;
  readonly owner?: OwnerRule;
  /** Default `enforced`: a new table has no old statements to rehearse. */
  readonly mode?: 'off' | 'shadow' | 'enforced';
  /** Inserts need not name the tenant: the column's default is the context's. Default true. */
  readonly defaultTenant?: boolean;
  readonly keepOwner?: boolean;
  /** What Tenantry remembers of a table that is protected already: its declaration counts, and its way back is kept. */
  readonly known?: KnownTable;
  /** The kernel's schema. Default `tenantry`. */
  readonly schema?: string;
}

/**
 * What a new table needs to be a tenant's: column, key, index, foreign key, owner, grants, policies, mode. Pure; a table
 * that has some of it already gets the rest. To be run in one transaction.
 *
 * @param empty whether the table holds no rows: only then may keys be replaced and a missing column be added
 * @throws TNT_INPUT_INVALID for a table with rows and no tenant: those rows need a decision (`tenantry adopt`)
 */
export function planProtect(facts: TableFacts, empty: boolean, options: ProtectOptions = {}): Statement[] {
  const {
    known,
    column = 'tenant_id',
    owner,
    mode = 'enforced',
    defaultTenant = true,
    keepOwner = false,
    schema = 'tenantry',
  } = options;
  if (known !== undefined) return planMode(facts, known, mode, { keepOwner, schema });
  const present = facts.columns.find(({ name }) => name === column);
  if (present === undefined && !empty) throw needsAdopt(facts, `has rows and no column "${column}"`);
  if (present?.notNull === false && !empty) throw needsAdopt(facts, `has rows and "${column}" may be null`);
  const withColumn: TableFacts = present
    ? facts
    : { ...facts, columns: [...facts.columns, { name: column, type: 'uuid', notNull: true, default: null }] };
  const declaration = declare(withColumn, { column, ...(owner === undefined ? {} : { owner }) });
  const structure = [
    ...tenantColumn(facts, declaration, defaultTenant),
    ...tenantKey(facts, declaration, empty),
    ...ownerIndex(facts, declaration),
    ...revokeAround(facts),
  ];
  return [
    ...structure.map((statement) => ({ ...statement, text: renderSchema(statement.text, schema) })),
    ...planMode(withColumn, { declaration }, mode, { keepOwner, schema }),
  ];
}

function tenantColumn(facts: TableFacts, { column, key }: TableDeclaration, defaultTenant: boolean): Statement[] {
  const table = qualifiedName(facts.schema, facts.table);
  const name = ident(column);
  const present = facts.columns.find((candidate) => candidate.name === column);
  const statements: Statement[] = [];
  if (present === undefined) {
    // without a default: one that reads the context would be evaluated here, once, in the context of this session
    statements.push({ text: `alter table ${table} add column ${name} uuid`, purpose: 'the tenant of each row' });
  }
  if (present?.notNull !== true) {
    statements.push({
      text: `alter table ${table} alter column ${name} set not null`,
      purpose: 'no row without a tenant',
    });
  }
  if (key.kind !== 'uuid') return statements;
  if (defaultTenant && (present?.default ?? null) === null) {
    statements.push({
      text: `alter table ${table} alter column ${name} set default tenantry.current_tenant()`,
      purpose: 'inserts need not name the tenant',
    });
  }
  const referenced = facts.foreignKeys.some(
    ({ columns, references }) => columns.length === 1 && columns[0] === column && references.endsWith('.organizations'),
  );
  if (!referenced) {
    statements.push({
      text: `alter table ${table} add foreign key (${name}) references tenantry.organizations (id)`,
      purpose: 'only organizations own rows',
    });
  }
  return statements;
}

/** Keys start with the tenant: they are the index of the policy, and what tables refer to so that no reference crosses. */
function tenantKey(facts: TableFacts, { column }: TableDeclaration, empty: boolean): Statement[] {
  const table = qualifiedName(facts.schema, facts.table);
  const { primaryKey, uniques, referenced, indexLeaders } = facts;
  const list = (columns: readonly string[]): string => columns.map(ident).join(', ');
  if (primaryKey === undefined) {
    return indexLeaders.includes(column)
      ? []
      : [{ text: `create index on ${table} (${ident(column)})`, purpose: 'the index of the policy' }];
  }
  if (primaryKey.columns[0] === column) return [];
  const wanted = [column, ...primaryKey.columns.filter((name) => name !== column)];
  if (empty && !referenced) {
    return [
      {
        text: `alter table ${table} drop constraint ${ident(primaryKey.name)}, add constraint ${ident(primaryKey.name)} primary key (${list(wanted)})`,
        purpose: 'the key starts with the tenant',
      },
    ];
  }
  if (
    uniques.some(({ columns }) => columns.length === wanted.length && wanted.every((name, at) => columns[at] === name))
  ) {
    return [];
  }
  return [
    {
      text: `alter table ${table} add unique (${list(wanted)})`,
      purpose: 'a key that starts with the tenant, to refer to',
    },
  ];
}

function ownerIndex(facts: TableFacts, { column, owner }: TableDeclaration): Statement[] {
  if (owner === undefined || facts.indexLeaders.includes(owner.column)) return [];
  return [
    {
      text: `create index on ${qualifiedName(facts.schema, facts.table)} (${ident(column)}, ${ident(owner.column)})`,
      purpose: "the index of the owner's rows",
    },
  ];
}

/** TRUNCATE is not filtered, REFERENCES is an oracle, TRIGGER runs code on others' rows; partitions are reached through their root. */
function revokeAround(facts: TableFacts): Statement[] {
  const root = qualifiedName(facts.schema, facts.table);
  return [
    {
      text: `revoke truncate, references, trigger on ${root} from public, tenantry_app`,
      purpose: 'rights that no policy filters',
    },
    ...facts.leaves.map((leaf) => ({
      text: `revoke all on ${qualifiedName(leaf.schema, leaf.table)} from public, tenantry_app`,
      purpose: 'partitions are reached through their root',
    })),
  ];
}

function needsAdopt({ schema, table }: TableFacts, why: string): TenantryError {
  return new TenantryError('TNT_INPUT_INVALID', `${schema}.${table} ${why}: its rows need a tenant first.`, {
    hint: 'Bring existing rows under tenants with: tenantry adopt inspect',
  });
}

/**
 * Temporary tables shadow real ones and stay on a pooled connection: nobody in this database needs to make them.
 * A separate step, because it concerns every application of the database.
 */
export function planRevokeTemporary(database: string): Statement[] {
  const name = ident(database);
  return [
    {
      text: `revoke temporary on database ${name} from public`,
      purpose: `no temporary tables in ${literal(database)}`,
    },
    { text: `revoke temporary on database ${name} from tenantry_app`, purpose: 'nor through the runtime group' },
  ];
}
