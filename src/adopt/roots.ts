import { TenantryError } from '../errors.ts';
import type { Decisions } from './classify.ts';
import { childrenOf, descendants, groupBy } from './graph.ts';
import type { ColumnFacts, ForeignKey, Inspection, TableFacts, TableName } from './inspection.ts';
import type { KeyColumn, OrganizationKeys } from './key-text.ts';
import type { FoundReference } from './plan-types.ts';
import { confirmReference } from './references/confirm.ts';

/** A table that could be the tenant, with the reasons for it and against it. */
export interface RootProposal {
  readonly table: TableName;
  /** 0 to 100; proposals come best first. */
  readonly score: number;
  readonly reasons: readonly string[];
  /** Tables that hang on it, by foreign keys or by references that nobody has confirmed yet. */
  readonly reaches: number;
}

const telling =
  /^(tenant|organi[sz]ation|org|account|compan(y|ie)|workspace|shop|store|merchant|team|client|customer_account|site|practice|clinic|school)e?s?$/i;
const reference =
  /^(.*_)?(country|countries|city|cities|state|region|province|language|locale|currency|currencies|category|categories|status|statuse|type|kind|genre|unit|color|specialty|specialties|address|addresse|tag)s?$/i;
const nameColumns = ['name', 'title', 'display_name', 'company_name', 'shop_name', 'label', 'email', 'slug', 'code'];

/**
 * The likeliest tenant roots, best first; at most five. Empty when no table has anything hanging on it.
 *
 * @param references found ones: those that name and data are sure of count here, and nowhere else until a person confirms them
 */
export function proposeRoots(inspection: Inspection, references: readonly FoundReference[] = []): RootProposal[] {
  const others = Math.max(inspection.tables.length - 1, 1);
  const declared = childrenOf(inspection.foreignKeys);
  const found = confident(inspection, references);
  const all = found.length === 0 ? declared : childrenOf([...inspection.foreignKeys, ...found]);
  const parentsOf = groupBy([...inspection.foreignKeys, ...found], (key) => key.table);
  return inspection.tables
    .map((table) =>
      propose(table, others, {
        declared: descendants(declared, table.name),
        all: descendants(all, table.name),
        parents: parentsOf.get(table.name) ?? [],
      }),
    )
    .filter((proposal) => proposal.reaches > 0)
    .sort((a, b) => b.score - a.score || b.reaches - a.reaches || (a.table < b.table ? -1 : 1))
    .slice(0, 5);
}

/** Every value that was looked at is there, and the name says so too. */
function confident(inspection: Inspection, references: readonly FoundReference[]): ForeignKey[] {
  return references
    .filter(({ confidence, sampled }) => confidence === 'high' && sampled > 0)
    .flatMap(({ from, to }) => confirmReference(inspection, [], { from, to }));
}

interface Surroundings {
  readonly declared: ReadonlySet<TableName>;
  readonly all: ReadonlySet<TableName>;
  readonly parents: readonly ForeignKey[];
}

function propose(table: TableFacts, others: number, { declared, all, parents: keys }: Surroundings): RootProposal {
  const undeclared = [...all].filter((name) => !declared.has(name)).sort();
  const reasons = [`${declared.size} of ${others} other tables hang on it by foreign keys`];
  if (undeclared.length > 0)
    reasons.push(
      `${undeclared.length === 1 ? '1 more does' : `${undeclared.length} more do`} by columns that no constraint declares, found by name and verified by data (${listed(undeclared)}): confirm them under references`,
    );
  let score = 60 * ((declared.size + 0.9 * undeclared.length) / others);
  if (telling.test(table.table)) {
    score += 25;
    reasons.push(`tenants are often called "${table.table}"`);
  }
  if (reference.test(table.table)) {
    score -= 20;
    reasons.push(`"${table.table}" sounds like reference data`);
  }
  const parents = new Set(keys.filter((key) => !all.has(key.parent)).map((key) => key.parent));
  parents.delete(table.name);
  if (parents.size === 0) {
    score += 10;
    reasons.push('it hangs on no other table');
  } else {
    score -= 5;
    reasons.push(`it hangs on ${[...parents].join(', ')} itself`);
  }
  if (nameColumn(table) !== undefined) {
    score += 3;
    reasons.push(`its rows have a name (${nameColumn(table)})`);
  }
  if (table.primaryKey.length !== 1) {
    score -= 20;
    reasons.push('it has no primary key of one column');
  } else score += 2;
  return { table: table.name, score: Math.max(0, Math.min(100, Math.round(score))), reasons, reaches: all.size };
}

const listed = (names: readonly string[]): string => `${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''}`;

/** The column that organizations take their names from, if one looks like it. */
export function nameColumn(table: TableFacts): string | undefined {
  const columns = new Set(table.columns.map((column) => column.name));
  return nameColumns.find((name) => columns.has(name));
}

/**
 * The columns that hold the organization's key: those of the root table, or those that a mapping names.
 *
 * @throws TNT_PLAN_INVALID when one is not there, or nothing tells the root's rows apart
 */
export function organizationKeys(inspection: Inspection, decisions: Decisions): OrganizationKeys {
  if (decisions.constant !== undefined) return {};
  const named =
    decisions.query === undefined
      ? decisions.root === undefined
        ? {}
        : { [decisions.root]: decisions.rootKey }
      : (decisions.keys ?? {});
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, columns]) => {
      const facts = inspection.tables.find((table) => table.name === name);
      if (facts === undefined) return [];
      return [[name, (columns ?? rootKey(facts)).map((column) => keyColumnOf(facts, column))]];
    }),
  );
}

function keyColumnOf(facts: TableFacts, name: string): KeyColumn {
  const column = facts.columns.find((c) => c.name === name);
  if (column === undefined)
    throw new TenantryError(
      'TNT_PLAN_INVALID',
      `Table ${facts.name} has no column ${name} to hold the organization's key; its columns are ${facts.columns.map((c) => c.name).join(', ')}.`,
    );
  return keyColumn(column);
}

/** A column as a part of a key. */
export function keyColumn({ name, type, baseType }: ColumnFacts): KeyColumn {
  return { name, type: baseType ?? type };
}

const uniqueLooking = ['id', 'uuid', 'key', 'code', 'slug', 'number', 'no'];

/** Without a primary key: a unique one that is never null, else a column that is called like one. The data has the last word. */
function rootKey(facts: TableFacts): readonly string[] {
  if (facts.primaryKey.length > 0) return facts.primaryKey;
  const present = (name: string): boolean => facts.columns.some((column) => column.name === name && column.notNull);
  const unique = facts.uniques.find((key) => !key.partial && !key.deferrable && key.columns.every(present));
  if (unique !== undefined) return unique.columns;
  const singular = facts.table.toLowerCase().replace(/s$/, '');
  const looking = [...uniqueLooking, `${singular}_id`, `${singular}_key`, `${singular}_code`, `${singular}_no`];
  const column = looking
    .map((name) => facts.columns.find((c) => c.name.toLowerCase() === name))
    .find((c) => c !== undefined);
  if (column !== undefined) return [column.name];
  throw new TenantryError(
    'TNT_PLAN_INVALID',
    `The root table ${facts.name} has no primary key to tell its rows apart.`,
    {
      hint: 'Name the column that does in the plan: root: { table: …, key: code }',
    },
  );
}
