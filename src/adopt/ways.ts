import { keyLabel, labelsOf, type Route } from './graph.ts';
import type { ForeignKey, Inspection, TableName } from './inspection.ts';
import { keysOf } from './lookups.ts';

/**
 * The keys by which a table gets its tenant, in the order in which they count: those that a person named, else the cheapest. The
 * targets of a polymorphic pair come together, and only those that have a tenant and do not lead back to the table.
 */
export function chooseWays(
  inspection: Inspection,
  roots: ReadonlySet<TableName>,
  routes: ReadonlyMap<TableName, Route>,
  table: TableName,
  wanted: readonly string[] | undefined,
): ForeignKey[] {
  const keys = keysOf(inspection.foreignKeys, table);
  const costOf = (name: TableName): number => (roots.has(name) ? 0 : (routes.get(name)?.cost ?? Infinity));
  const leads = (key: ForeignKey): boolean => costOf(key.parent) < Infinity;
  const ofLabel = (label: string): ForeignKey[] => {
    const all = keys.filter((key) => keyLabel(key) === label);
    const leading = all.filter(
      (key) => leads(key) && (key.when === undefined || key.parent === table || !leadsBack(inspection, key)),
    );
    // a name that leads nowhere is told where all decisions are judged
    return leading.length > 0 ? leading : all;
  };
  if (wanted !== undefined) return [...new Set(wanted.flatMap(ofLabel))];
  const route = routes.get(table);
  if (route === undefined) return [];
  // A key that may be null is followed by the others that lead to the root: the first with a parent counts.
  if (!route.via.nullable) return [route.via];
  // only from tables that are nearer to the root: so no two tables can get their tenant from each other
  const fallbacks = keys.filter((key) => key !== route.via && costOf(key.parent) < route.cost);
  const rank = (key: ForeignKey): number => costOf(key.parent) + (key.nullable ? 100 : 0);
  // a row of a tree whose top alone names its tenant has that of the row above it
  const trees = keys.filter((key) => key.parent === table && key.when === undefined);
  const ordered = [route.via, ...fallbacks.sort((a, b) => rank(a) - rank(b)), ...trees];
  return labelsOf(ordered).flatMap((label) => {
    const own = ordered.filter((key) => keyLabel(key) === label);
    return own.some((key) => key.when !== undefined) ? ofLabel(label) : own;
  });
}

/** True when the tenant of a key's parent could come from the table itself: two tables would wait for each other. */
function leadsBack(inspection: Inspection, key: ForeignKey): boolean {
  const seen = new Set<TableName>([key.parent]);
  for (const name of seen) {
    if (name === key.table) return true;
    for (const next of keysOf(inspection.foreignKeys, name)) if (next.parent !== name) seen.add(next.parent);
  }
  return false;
}
