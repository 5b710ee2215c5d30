import type { ForeignKey, Inspection, TableFacts, TableName } from './inspection.ts';
import { groupBy } from './graph.ts';

/** What is worked out once of a value that never changes, and kept as long as the value is. */
export function once<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = make(key);
    known.set(key, made);
    return made;
  };
}

const byName = once((tables: readonly TableFacts[]) => new Map(tables.map((table) => [table.name, table])));
const byTable = once((keys: readonly ForeignKey[]) => groupBy(keys, (key) => key.table));
const byParent = once((keys: readonly ForeignKey[]) => groupBy(keys, (key) => key.parent));
const inherited = once((tables: readonly TableFacts[]) => new Set(tables.flatMap((table) => table.inherits)));

export function factsOf({ tables }: Pick<Inspection, 'tables'>, name: TableName): TableFacts | undefined {
  return byName(tables).get(name);
}

/** The keys of a table, in the order of the inspection. */
export function keysOf(foreignKeys: readonly ForeignKey[], table: TableName): readonly ForeignKey[] {
  return byTable(foreignKeys).get(table) ?? [];
}

/** The keys that lead to a table, in the order of the inspection. */
export function keysTo(foreignKeys: readonly ForeignKey[], parent: TableName): readonly ForeignKey[] {
  return byParent(foreignKeys).get(parent) ?? [];
}

/** Other tables inherit from it. */
export function isInherited({ tables }: Pick<Inspection, 'tables'>, name: TableName): boolean {
  return inherited(tables).has(name);
}
