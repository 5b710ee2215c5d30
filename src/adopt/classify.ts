import type { UsageFacts } from './data-facts.ts';
import type { RowDecisions, TableRule } from './decisions/types.ts';
import { type Draft, draft, hasTenant } from './drafts.ts';
import { settleFamilies } from './families.ts';
import { describeRoute, labelsOf, routesToRoot } from './graph.ts';
import type { ForeignKey, Inspection, TableFacts, TableName } from './inspection.ts';
import { keysOf } from './lookups.ts';
import type { UniqueDecisions } from './uniques/judge.ts';
import { chooseWays } from './ways.ts';

export { hasTenant } from './drafts.ts';

export type TableClass = 'root' | 'owned' | 'join' | 'shared' | 'undecided';

/** What a person decided for one table; everything left out is proposed. */
export interface TableDecision extends RowDecisions {
  readonly class?: TableClass | undefined;
  /** Columns of the foreign keys the tenant comes by, each as `keyLabel` prints it; the first that is not null counts. */
  readonly via?: readonly string[] | undefined;
  /** Unique keys by name, or new ones by their columns: `(number)`. What is left out stays as it is. */
  readonly uniques?: UniqueDecisions | undefined;
  /** Foreign keys, by their labels, that carry the tenant from tighten on. */
  readonly compositeKeys?: readonly string[] | undefined;
}

export interface Decisions {
  /** The table whose rows are the tenants. */
  readonly root?: TableName | undefined;
  /** Columns that tell the root's rows apart. Default: its primary key. */
  readonly rootKey?: readonly string[] | undefined;
  /** Instead of a root table: a query whose rows are the tenants (`key`, and optionally `name`). */
  readonly query?: string | undefined;
  /** With a query: the columns of tables that hold its key. */
  readonly keys?: Readonly<Record<TableName, readonly string[]>> | undefined;
  /** Instead of a root: every row belongs to one organization of this name. */
  readonly constant?: string | undefined;
  readonly tables?: Readonly<Record<TableName, TableDecision>> | undefined;
}

export interface Classification {
  readonly table: TableName;
  readonly class: TableClass;
  /** The keys the tenant comes by, in order. Empty for a root, a constant tenant, shared and undecided tables. */
  readonly via: readonly ForeignKey[];
  /** Every other key to a table that has a tenant: both ends must agree. */
  readonly checks: readonly ForeignKey[];
  readonly confidence: 'decided' | 'high' | 'medium' | 'low';
  readonly reason: string;
  /** `orders.customer_id → customers.shop_id → shops`; null where there is none. */
  readonly path: string | null;
  /** What a person decided about rows that do not belong to one tenant as they are. */
  readonly decided?: RowDecisions;
  /** The same with every name resolved. Only in plans by a root. */
  readonly rule?: TableRule;
}

const noLink = 'no foreign key';
const toolingTables =
  /^(schema_migrations|ar_internal_metadata|_prisma_migrations|__drizzle_migrations|knex_migrations(_lock)?|flyway_schema_history|databasechangelog(lock)?|django_migrations|alembic_version|kysely_migration(_lock)?|typeorm_metadata|migrations|pgmigrations|goose_db_version|sequelizemeta)$/i;

/**
 * Puts every table into one class, with the reason. Pure: the same inspection, decisions and facts give the same answer.
 * What cannot be told is `undecided`, never guessed.
 */
export function classifyTables(
  inspection: Inspection,
  decisions: Decisions,
  usage: ReadonlyMap<TableName, UsageFacts> = new Map(),
): Classification[] {
  const classes =
    decisions.constant === undefined
      ? classifyByRoot(inspection, decisions, usage)
      : inspection.tables.map((table) => classifyConstant(table, decisions, decisions.constant ?? ''));
  return withChecks(inspection, classes);
}

function classifyConstant(table: TableFacts, decisions: Decisions, name: string): Draft {
  const decided = decisions.tables?.[table.name]?.class;
  const proposed = toolingTables.test(table.table)
    ? draft(table.name, { class: 'shared', confidence: 'high', reason: 'the history of a migration tool' })
    : draft(table.name, { class: 'owned', confidence: 'high', reason: `every row that exists belongs to "${name}"` });
  return decided === undefined || decided === proposed.class
    ? proposed
    : draft(table.name, { class: decided, confidence: 'decided', reason: 'your decision' });
}

function classifyByRoot(
  inspection: Inspection,
  decisions: Decisions,
  usage: ReadonlyMap<TableName, UsageFacts>,
): Draft[] {
  const root = decisions.root ?? '';
  const held = decisions.query === undefined ? {} : (decisions.keys ?? {});
  const roots = new Set(decisions.query === undefined ? [root] : Object.keys(held));
  const routes = routesToRoot(inspection, roots);
  const chosen = new Map<TableName, readonly ForeignKey[]>();
  for (const { name } of inspection.tables) {
    const ways = chooseWays(inspection, roots, routes, name, decisions.tables?.[name]?.via);
    if (ways.length > 0 && held[name] === undefined) chosen.set(name, ways);
  }
  const firstKeys = new Map([...chosen].flatMap(([table, keys]) => (keys[0] === undefined ? [] : [[table, keys[0]]])));
  const byName = new Map<TableName, Draft>();
  for (const table of inspection.tables) {
    const { name } = table;
    const decided = roots.has(name) ? undefined : decisions.tables?.[name]?.class;
    const via = chosen.get(name) ?? [];
    const proposed =
      name === root
        ? draft(name, { class: 'root', confidence: 'decided', reason: 'its rows are the tenants' })
        : held[name] !== undefined
          ? draft(name, {
              class: 'owned',
              confidence: 'decided',
              reason: `${held[name].join(', ')} holds the key of its organization`,
            })
          : via.length > 0
            ? ownedDraft(
                table,
                keysOf(inspection.foreignKeys, name),
                via,
                routes.get(name)?.nullable ?? false,
                firstKeys,
              )
            : withoutRoute(table, root, usage);
    // what a person wrote as it was proposed keeps its reason, so that a file that is planned again stays as it is
    const wanted = roots.has(name) ? undefined : decisions.tables?.[name]?.via;
    const asProposed =
      (decided ?? proposed.class) === proposed.class &&
      sameWays(wanted, wanted === undefined ? [] : chooseWays(inspection, roots, routes, name, undefined));
    if (asProposed) byName.set(name, proposed);
    else {
      const kind = decided ?? proposed.class;
      const owned = kind === 'owned' || kind === 'join';
      byName.set(
        name,
        draft(name, {
          class: kind,
          confidence: 'decided',
          reason: 'your decision',
          ...(owned ? { via, path: describeRoute(name, firstKeys) } : {}),
        }),
      );
    }
  }
  cutOff(byName);
  settleFamilies(inspection, byName);
  cutOff(byName);
  settleNeighbours(inspection, byName);
  return inspection.tables.flatMap((table) => byName.get(table.name) ?? []);
}

/** No `via` in the file leaves the choice to the plan. */
const sameWays = (wanted: readonly string[] | undefined, via: readonly ForeignKey[]): boolean =>
  wanted === undefined || wanted.join('|') === labelsOf(via).join('|');

function ownedDraft(
  table: TableFacts,
  keys: readonly ForeignKey[],
  via: readonly ForeignKey[],
  nullable: boolean,
  firstKeys: ReadonlyMap<TableName, ForeignKey>,
): Draft {
  const path = describeRoute(table.name, firstKeys);
  const linking = new Set(table.primaryKey.length > 0 ? table.primaryKey : (table.uniques[0]?.columns ?? []));
  const parents = new Set(
    keys.filter((key) => key.when === undefined && key.columns.every((c) => linking.has(c))).map((key) => key.parent),
  );
  const covered = new Set(keys.flatMap((key) => key.columns));
  const isJoin = parents.size > 1 && linking.size > 0 && [...linking].every((column) => covered.has(column));
  return draft(table.name, {
    class: isJoin ? 'join' : 'owned',
    confidence: nullable ? 'medium' : 'high',
    reason: nullable
      ? `reached by ${path}, ${
          via[0]?.confirmed === true
            ? 'a reference that no constraint holds: rows that it leads nowhere have no tenant'
            : 'where a key may be null: rows without one have no tenant'
        }`
      : isJoin
        ? `joins ${[...parents].join(' and ')}; reached by ${path}`
        : `reached by ${path}`,
    via,
    path,
  });
}

function withoutRoute(table: TableFacts, root: TableName, usage: ReadonlyMap<TableName, UsageFacts>): Draft {
  const { name } = table;
  if (toolingTables.test(table.table)) {
    return draft(name, { class: 'shared', confidence: 'high', reason: 'the history of a migration tool' });
  }
  const facts = usage.get(name);
  if (facts === undefined) {
    return draft(name, {
      class: 'undecided',
      confidence: 'low',
      reason: `${noLink} leads from it to ${root}, and no row of a tenant refers to it`,
    });
  }
  const { used, byMany } = facts;
  const share = used === 0 ? 0 : byMany / used;
  if (used > 0 && share >= 0.2) {
    return draft(name, {
      class: 'shared',
      confidence: share >= 0.5 ? 'high' : 'medium',
      reason: `${byMany} of ${used} rows in use are used by several tenants`,
    });
  }
  return draft(name, {
    class: 'undecided',
    confidence: 'low',
    reason:
      used === 0
        ? 'tenants could refer to it, but no row does'
        : `tenants refer to it, and ${used - byMany} of ${used} rows in use belong to one tenant only: shared reference data, or data of tenants?`,
  });
}

/** A way that leads through a table without a tenant leads nowhere: such a table is undecided as well, and what hangs on it. */
function cutOff(byName: Map<TableName, Draft>): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const [name, current] of byName) {
      if (!hasTenant(current.class) || current.class === 'root') continue;
      const decided = current.confidence === 'decided';
      // what a person named is not dropped silently; of a polymorphic pair the targets with a tenant are what was meant
      const leading = current.via.filter(
        (key) => hasTenant(byName.get(key.parent)?.class) || (decided && key.when === undefined),
      );
      const via = leading.every((key) => key.parent === name) ? [] : leading;
      if (via.length === current.via.length || (decided && via.length === 0)) continue;
      changed = true;
      const through = current.via.find((key) => !via.includes(key))?.parent ?? '';
      byName.set(
        name,
        via.length > 0
          ? { ...current, via }
          : draft(name, {
              class: 'undecided',
              confidence: 'low',
              reason: `its way to the root leads through ${through}, which has no tenant`,
            }),
      );
    }
  }
}

/** Tables that are tied to shared tables alone (film_actor and actor beside film) are shared as well. */
function settleNeighbours(inspection: Inspection, byName: Map<TableName, Draft>): void {
  const loose = new Set(
    [...byName.values()].filter((d) => d.class === 'undecided' && d.reason.startsWith(noLink)).map((d) => d.table),
  );
  const neighbours = (name: TableName): TableName[] =>
    inspection.foreignKeys
      .filter((key) => (key.table === name) !== (key.parent === name))
      .map((key) => (key.table === name ? key.parent : key.table));
  while (loose.size > 0) {
    const [first] = loose;
    if (first === undefined) break;
    const group = new Set<TableName>([first]);
    const around = new Set<TableName>();
    for (const name of group) {
      loose.delete(name);
      for (const other of neighbours(name)) {
        if (loose.has(other)) group.add(other);
        else if (!group.has(other)) around.add(other);
      }
    }
    if (around.size === 0 || [...around].some((name) => byName.get(name)?.class !== 'shared')) continue;
    for (const name of group) {
      const current = byName.get(name);
      if (current === undefined) continue;
      byName.set(name, {
        ...current,
        class: 'shared',
        confidence: 'medium',
        reason: `tied to shared tables alone (${[...around].sort().join(', ')})`,
      });
    }
  }
}

function withChecks(inspection: Inspection, drafts: readonly Draft[]): Classification[] {
  const classOf = new Map(drafts.map((d) => [d.table, d.class]));
  return drafts.map((d) => ({
    ...d,
    checks: hasTenant(d.class)
      ? keysOf(inspection.foreignKeys, d.table).filter(
          (key) => hasTenant(classOf.get(key.parent)) && !d.via.includes(key),
        )
      : [],
  }));
}
