import type { ForeignKey, Inspection, TableName } from './inspection.ts';

/** How plans and messages name a foreign key of a table: its columns, `customer_id` or `order_id, line`. */
export function keyLabel(key: ForeignKey): string {
  return keyColumns(key).join(', ');
}

/** The columns that decide where a key leads: with a polymorphic pair's discriminator, which comes first. */
export function keyColumns(key: ForeignKey): string[] {
  return key.when === undefined ? [...key.columns] : [key.when.column, ...key.columns];
}

/** The labels of keys, each once: the targets of a polymorphic pair have one together. */
export function labelsOf(keys: readonly ForeignKey[]): string[] {
  return [...new Set(keys.map(keyLabel))];
}

export interface Route {
  /** The key that the tenant comes by. */
  readonly via: ForeignKey;
  /** Foreign keys between this table and the root, plus 100 for each that may be null. */
  readonly cost: number;
  /** True when a row may have no tenant: some key on the way may be null. */
  readonly nullable: boolean;
}

/** A nullable key may lead nowhere for some rows: any route without one is better than the shortest with one. */
const nullableCost = 100;

/** The cheapest route from every table to a root: keys that are never null first, then the fewest hops, then column order. */
export function routesToRoot(inspection: Inspection, roots: ReadonlySet<TableName>): Map<TableName, Route> {
  const cost = new Map<TableName, number>([...roots].map((root) => [root, 0]));
  const routes = new Map<TableName, Route>();
  const children = groupBy(inspection.foreignKeys, (key) => key.parent);
  const order = new Map(inspection.foreignKeys.map((key, i) => [key, i]));
  const open: TableName[] = [...roots];
  while (open.length > 0) {
    open.sort((a, b) => (cost.get(a) ?? 0) - (cost.get(b) ?? 0));
    const parent = open.shift();
    if (parent === undefined) break;
    for (const key of children.get(parent) ?? []) {
      const next = (cost.get(parent) ?? 0) + 1 + (key.nullable ? nullableCost : 0);
      const known = cost.get(key.table);
      if (
        roots.has(key.table) ||
        (known !== undefined && !isBetter(next, key, known, routes.get(key.table)?.via, order))
      )
        continue;
      cost.set(key.table, next);
      routes.set(key.table, { via: key, cost: next, nullable: next >= nullableCost });
      open.push(key.table);
    }
  }
  return routes;
}

function isBetter(
  cost: number,
  key: ForeignKey,
  known: number,
  knownKey: ForeignKey | undefined,
  order: ReadonlyMap<ForeignKey, number>,
): boolean {
  if (cost !== known || knownKey === undefined) return cost < known;
  // A tie goes to the column that stands first in the table: stable, and what a reader expects.
  return (order.get(key) ?? 0) < (order.get(knownKey) ?? 0);
}

/** `orders.customer_id → customers.shop_id → shops`. */
export function describeRoute(table: TableName, vias: ReadonlyMap<TableName, ForeignKey>): string {
  const parts: string[] = [];
  const seen = new Set<TableName>();
  let at = table;
  for (let key = vias.get(at); key !== undefined && !seen.has(at); key = vias.get(at)) {
    seen.add(at);
    parts.push(`${at}.${keyLabel(key)}`);
    at = key.parent;
  }
  return [...parts, at].join(' → ');
}

/** The tables whose keys lead to each table. */
export function childrenOf(keys: readonly ForeignKey[]): ReadonlyMap<TableName, readonly TableName[]> {
  return new Map([...groupBy(keys, (key) => key.parent)].map(([parent, own]) => [parent, own.map((key) => key.table)]));
}

/** Every table that hangs on `root` by keys, at any depth. */
export function descendants(children: ReadonlyMap<TableName, readonly TableName[]>, root: TableName): Set<TableName> {
  const found = new Set<TableName>();
  const open = [root];
  for (let parent = open.pop(); parent !== undefined; parent = open.pop()) {
    for (const child of children.get(parent) ?? []) {
      if (child === root || found.has(child)) continue;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}

/** Rows by key, both in the order they came. */
export function groupBy<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group === undefined) groups.set(key(row), [row]);
    else group.push(row);
  }
  return groups;
}
