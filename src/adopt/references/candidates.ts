import { groupBy } from '../graph.ts';
import type { ColumnFacts, Inspection, TableFacts, TableName } from '../inspection.ts';
import { factsOf, keysOf } from '../lookups.ts';
import { conversionOf, isText } from './comparable.ts';
import { isUnique } from './confirm.ts';
import { findContentTypePairs } from './content-types.ts';
import { nameMatch, namesItself, readingsOf, tableWords, wordsOf } from './words.ts';

/** Columns that could refer to a key, judged by names and types alone. */
export interface Candidate {
  readonly table: TableName;
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly parentColumns: readonly string[];
  /** How much the name says. */
  readonly strength: 'strong' | 'weak';
  readonly reason: string;
}

/** A pair like (owner_type, owner_id). */
export interface PairCandidate {
  readonly table: TableName;
  readonly discriminator: string;
  readonly column: string;
}

const discriminators = ['type', 'kind', 'class', 'table', 'model', 'entity'];
/** Names that say nothing about what they are a key of. */
const generic = /^(id|uuid|guid|key|code|no|number|num|nr|name|pk|oid|slug|position|line|seq|version)$/i;

/** Pairs of a discriminator and a key: `owner_type` beside `owner_id`. */
export function findPairs(inspection: Inspection): PairCandidate[] {
  return inspection.tables.flatMap((table) => {
    const covered = coveredColumns(inspection, table.name);
    return table.columns.flatMap((column): PairCandidate[] => {
      const reading = readingsOf(column.name).find(({ suffix }) => suffix !== null);
      if (reading === undefined || covered.has(column.name)) return [];
      const stem = reading.stem.join(' ');
      const discriminator = table.columns.find(
        (other) =>
          other !== column &&
          (isText(other.baseType) || isEnum(other)) &&
          discriminators.some((word) => `${stem} ${word}` === readingsOf(other.name).at(-1)?.stem.join(' ')),
      );
      return discriminator === undefined
        ? []
        : [{ table: table.name, discriminator: discriminator.name, column: column.name }];
    });
  });
}

/** Without a type of the system's own, a name in it stands for itself: `mood` in the schema that the host made it in. */
const isEnum = ({ baseType }: ColumnFacts): boolean => baseType?.includes('.') === true;

/** Tables that a discriminator's value can mean: `Order`, `orders`, `App\Models\Order`, `shop.orders`. */
export function tablesOfValue(inspection: Inspection, value: string): TableFacts[] {
  const name = value.split(/[\\/.:]+/).at(-1) ?? value;
  const words = tableWords(name).join(' ');
  const all = inspection.tables.filter((table) => tableWords(table.table).join(' ') === words);
  const qualified = all.filter((table) => `${table.schema}.${table.table}` === value);
  return qualified.length > 0 ? qualified : all;
}

/** Columns that could be references to one table, without those that a key or a polymorphic pair covers. */
export function findCandidates(inspection: Inspection): Candidate[] {
  const pairs = new Set(
    [...findPairs(inspection), ...findContentTypePairs(inspection)].map(({ table, column }) => `${table} ${column}`),
  );
  return inspection.tables.flatMap((table) => {
    const covered = coveredColumns(inspection, table.name);
    const free = table.columns.filter(({ name }) => !covered.has(name) && !pairs.has(`${table.name} ${name}`));
    const inherited = inheritedKeys(inspection, table).filter(({ columns }) => !columns.some((c) => covered.has(c)));
    const known = new Set(inherited.flatMap(({ columns }) => columns));
    return [
      ...inherited,
      ...compositeCandidates(inspection, table, free),
      ...free.filter(({ name }) => !known.has(name)).flatMap((column) => candidatesOf(inspection, table, column)),
    ];
  });
}

function coveredColumns(inspection: Inspection, table: TableName): Set<string> {
  return new Set(
    keysOf(inspection.foreignKeys, table).flatMap((key) =>
      key.when === undefined ? key.columns : [key.when.column, ...key.columns],
    ),
  );
}

/** INHERITS brings columns and no foreign keys: what is one above is one here. */
function inheritedKeys(inspection: Inspection, table: TableFacts): Candidate[] {
  return table.inherits.flatMap((above) =>
    inspection.foreignKeys
      .filter((key) => key.table === above && key.when === undefined)
      .map((key) => ({
        table: table.name,
        columns: key.columns,
        parent: key.parent,
        parentColumns: key.parentColumns,
        strength: 'strong' as const,
        reason: `the column comes from ${above}, where it is a foreign key`,
      })),
  );
}

function candidatesOf(inspection: Inspection, table: TableFacts, column: ColumnFacts): Candidate[] {
  const found = inspection.tables.flatMap((parent) => judge(table, column, parent) ?? []);
  const strong = found.filter(({ strength }) => strength === 'strong');
  const best = strong.length > 0 ? strong : found;
  const near = best.filter(({ parent }) => schemaOf(inspection, parent) === table.schema);
  const chosen = near.length > 0 ? near : best;
  // several that fit equally: each is a guess
  return chosen.length > 1 ? chosen.map((candidate) => ({ ...candidate, strength: 'weak' as const })) : chosen;
}

const schemaOf = (inspection: Inspection, name: TableName): string | undefined => factsOf(inspection, name)?.schema;

function judge(table: TableFacts, column: ColumnFacts, parent: TableFacts): Candidate | undefined {
  const itself = table === parent;
  if (itself && table.primaryKey.length === 1 && table.primaryKey[0] === column.name) return undefined;
  const named = itself ? undefined : keyNamed(column, parent);
  if (named !== undefined) {
    return {
      table: table.name,
      columns: [column.name],
      parent: parent.name,
      parentColumns: [named.name],
      strength: 'strong',
      reason: `named after ${parent.name} and its ${named.name}`,
    };
  }
  for (const reading of readingsOf(column.name)) {
    const match = itself && namesItself(reading) ? 'exact' : nameMatch(reading.stem, tableWords(parent.table));
    // a whole name that only ends like a table's (unit_price, prices) is no reference to it
    if (match === undefined || (match === 'partial' && reading.suffix === null)) continue;
    // grades.grade is a grade, and grades.grade_id seldom another row of grades
    const tree = itself && namesItself(reading);
    if (itself && !tree && reading.suffix === null) continue;
    const target = targetOf(column, parent, reading.suffix);
    if (target === undefined) continue;
    return {
      table: table.name,
      columns: [column.name],
      parent: parent.name,
      parentColumns: [target.name],
      strength: match === 'exact' && itself === tree ? 'strong' : 'weak',
      reason: tree ? 'named like a place in a tree of its own table' : `named after ${parent.name}`,
    };
  }
  const [key] = parent.primaryKey;
  if (itself || parent.primaryKey.length !== 1 || key !== column.name || generic.test(key)) return undefined;
  if (table.primaryKey.length === 1 && table.primaryKey[0] === key) return undefined;
  const target = targetOf(column, parent, null);
  return target === undefined
    ? undefined
    : {
        table: table.name,
        columns: [column.name],
        parent: parent.name,
        parentColumns: [key],
        strength: 'strong',
        reason: `it has the name of the key of ${parent.name}`,
      };
}

/** `article_sku` beside articles(sku): the table and a key of it, word for word. */
function keyNamed(column: ColumnFacts, parent: TableFacts): ColumnFacts | undefined {
  const words = wordsOf(column.name).join(' ');
  return parent.columns.find(
    (key) =>
      words === [...tableWords(parent.table), ...wordsOf(key.name)].join(' ') &&
      isUnique(parent, [key.name]) &&
      conversionOf(column.baseType, key.baseType) !== undefined,
  );
}

/** The key that a column means: the unique one its suffix names (customer_code → code), else the primary key. */
function targetOf(column: ColumnFacts, parent: TableFacts, suffix: string | null): ColumnFacts | undefined {
  const names = suffix === null || suffix === 'id' ? parent.primaryKey : [suffix, column.name, ...parent.primaryKey];
  for (const name of names) {
    const target = parent.columns.find((c) => c.name === name);
    if (target === undefined || !isUnique(parent, [name])) continue;
    if (conversionOf(column.baseType, target.baseType) !== undefined) return target;
  }
  return undefined;
}

/** Columns named like a key of several columns: `org_id, no`, or with the table before them: `depot_org, depot_no`. */
function compositeCandidates(inspection: Inspection, table: TableFacts, free: readonly ColumnFacts[]): Candidate[] {
  const byName = groupBy(free, (column) => column.name);
  return inspection.tables.flatMap((parent): Candidate[] => {
    if (parent === table || parent.primaryKey.length < 2 || parent.primaryKey.every((name) => generic.test(name)))
      return [];
    const before = tableWords(parent.table).join('_');
    const columns = parent.primaryKey.map((name) =>
      [`${before}_${name}`, ...(generic.test(name) ? [] : [name])].find((wanted) => byName.has(wanted)),
    );
    const fits = columns.every((name, i) => {
      const own = free.find((column) => column.name === name);
      const key = parent.columns.find((column) => column.name === parent.primaryKey[i]);
      return own !== undefined && conversionOf(own.baseType, key?.baseType) === 'none';
    });
    const same = columns.join() === table.primaryKey.join() && columns.join() === parent.primaryKey.join();
    if (!fits || same) return [];
    return [
      {
        table: table.name,
        columns: columns.flatMap((name) => name ?? []),
        parent: parent.name,
        parentColumns: parent.primaryKey,
        strength: 'weak',
        reason: `they have the names of the key of ${parent.name}`,
      },
    ];
  });
}
