import { ident, literal } from '../../database/sql.ts';
import { hasTenant } from '../classify.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import {
  createAliases,
  type JoinedExpression,
  type RouteEnd,
  type TenantGraph,
  type TenantNode,
  tenantByKey,
  tenantOfRow,
  walk,
} from '../tenant-sql.ts';
import { knownKey } from '../memberships/read-sql.ts';
import { isOrphan, tenantByWay, usesOf } from './apply-rule.ts';
import { columnGraph, wrongBySql } from './by-columns.ts';
import { keyIn, organizationSlug, rowText } from './rule.ts';

export type FindingKind =
  | 'joins tenants'
  | 'no tenant'
  | 'shared row'
  | 'copy breaks unique'
  | 'duplicate value'
  | 'wrong tenant';

/** One statement that lists rows: `key, tenant, other, decision, ord`. */
export interface Listing {
  readonly table: TableName;
  readonly kind: FindingKind;
  /** The ways that were compared; one for rows without a tenant. */
  readonly ways: readonly string[];
  readonly text: string;
}

/** How tenants are told apart: by the keys of the root, before anything is filled, or by the tenant columns. */
export type Sight = 'plan' | 'data';

/** Every kind of row that does not belong to one tenant as it is, as statements that read only. */
export function planListings(plan: Plan, sight: Sight): Listing[] {
  if (plan.constant !== null) return [];
  return plan.tables
    .filter((table) => hasTenant(table.class))
    .flatMap((table) => [
      ...disagreements(plan, table, sight),
      ...withoutTenant(plan, table, sight),
      ...sharedRows(plan, table, sight),
      ...(sight === 'data' ? wrongTenant(plan, table) : []),
    ]);
}

interface Eyes {
  readonly graph: TenantGraph;
  readonly end: RouteEnd;
  /** What is shown of a tenant. */
  readonly show: (expression: string) => string;
}

function eyesOf(plan: Plan, table: TableName, sight: Sight): Eyes {
  const nodes = new Map<TableName, TenantNode>(plan.tables.map((t) => [t.table, t]));
  // the table itself by its keys alone: what is decided about its rows is what is listed here
  const own = nodes.get(table);
  if (own !== undefined && (own.rule?.usedBy.length ?? 0) === 0) nodes.set(table, { class: own.class, via: own.via });
  const graph: TenantGraph = {
    nodes,
    keys: plan.keys,
    byKey: plan.mapping === null ? undefined : knownKey(plan),
    orphan: (decision) => {
      const slug = organizationSlug(decision);
      return slug === undefined ? undefined : literal(`organization:${slug}`);
    },
  };
  if (sight === 'plan') return { graph, end: () => undefined, show: (expression) => expression };
  const column = ident(plan.column);
  return {
    graph: { ...columnGraph(plan), nodes },
    end: (_name, alias) => (alias === 't' ? undefined : `${alias}.${column}`),
    show: (expression) => `(select o.key from tenantry.organizations o where o.id = (${expression}))`,
  };
}

const rowsOf = (table: TablePlan): string => `${table.inherited ? 'only ' : ''}${table.table}`;

function orderOf(table: TablePlan): string {
  return table.primaryKey.length === 0 ? 't.ctid' : `row(${table.primaryKey.map((c) => `t.${ident(c)}`).join(', ')})`;
}

export function selectRows(
  table: TablePlan,
  columns: { tenant: string; other: string; decision: string },
  from: string,
  where: string,
): string {
  return `select ${rowText('t', table)} as key, ${columns.tenant} as tenant, ${columns.other} as other, ${columns.decision} as decision, ${orderOf(table)} as ord from ${from} where ${where}`;
}

/** Single rows first, then what is decided for all. */
function decisionSql(table: TablePlan, otherwise: string): string {
  const rows = table.rule?.rows ?? [];
  if (rows.length === 0) return otherwise;
  const key = rowText('t', table);
  const branches = [...new Set(rows.map((row) => row.way))].map((way) => {
    const keys = rows.filter((row) => row.way === way).map((row) => row.key);
    return `when ${keyIn(key, keys)} then ${literal(way === null ? 'quarantine' : keyLabel(way))}`;
  });
  return `case ${branches.join(' ')} else ${otherwise} end`;
}

function disagreements(plan: Plan, table: TablePlan, sight: Sight): Listing[] {
  const { graph, end, show } = eyesOf(plan, table.table, sight);
  const byUse = new Set(plan.tables.filter((t) => (t.rule?.usedBy.length ?? 0) > 0).map((t) => t.table));
  return (table.rule?.ways ?? [])
    .filter(({ key, decision }) => decision !== 'duplicate' && !(sight === 'plan' && byUse.has(key.parent)))
    .map(({ key, decision }) => {
      const aliases = createAliases();
      const own = rootAware(plan, table, graph, end, aliases);
      const other =
        decision === 'quarantine'
          ? tenantByWay(walk, graph, key, 't', aliases, end)
          : tenantByKey(graph, key, 't', aliases, end);
      return {
        table: table.table,
        kind: 'joins tenants',
        ways: [...table.via.slice(0, 1), key].map((way) => describeWay(plan, way)),
        text: selectRows(
          table,
          {
            tenant: show(own.expression),
            other: show(other.expression),
            decision: decisionSql(table, literal(decision)),
          },
          `${rowsOf(table)} t ${[...own.joins, ...other.joins].join(' ')}`,
          `(${own.expression}) <> (${other.expression})`,
        ),
      };
    });
}

/** The tenant of the row `t`: by the keys of the root or by its column, and as it is shown. */
export function lookAt(
  plan: Plan,
  table: TablePlan,
  sight: Sight,
  aliases: () => string,
): JoinedExpression & { readonly shown: string } {
  if (plan.constant !== null) return { joins: [], expression: 'null::text', shown: 'null::text' };
  const { graph, end, show } = eyesOf(plan, table.table, sight);
  const own =
    sight === 'data'
      ? { joins: [], expression: `t.${ident(plan.column)}` }
      : rootAware(plan, table, graph, end, aliases);
  return { ...own, shown: show(own.expression) };
}

/** The root's own tenant is in its column; a table without a way has its own tenant in it as well. */
function rootAware(plan: Plan, table: TablePlan, graph: TenantGraph, end: RouteEnd, aliases: () => string) {
  const column = `t.${ident(plan.column)}`;
  if (end('', '') === undefined || table.via.length > 0) return tenantOfRow(graph, table.table, 't', aliases, end);
  return { joins: [], expression: column };
}

function withoutTenant(plan: Plan, table: TablePlan, sight: Sight): Listing[] {
  if (table.class === 'root') return [];
  const { graph, end } = eyesOf(plan, table.table, sight);
  const own = rootAware(plan, table, graph, end, createAliases());
  const orphans = literal(table.rule?.orphans ?? 'stop');
  const decision =
    table.via.length === 0 ? orphans : `case when ${isOrphan(table.via, 't')} then ${orphans} else 'quarantine' end`;
  const empty = `t.${ident(plan.column)} is null`;
  const still = organizationSlug(table.rule?.orphans ?? 'stop') === undefined ? ` and ${empty}` : '';
  // several tenants use it: listed as such
  const unused = table.via.length === 0 && table.rule?.sharedRows === 'quarantine' ? ` and ${isUnused(table)}` : '';
  return [
    {
      table: table.table,
      kind: 'no tenant',
      ways: table.via.length === 0 ? ['used by no row of a tenant'] : table.via.map((way) => describeWay(plan, way)),
      text: selectRows(
        table,
        { tenant: 'null::text', other: 'null::text', decision: decisionSql(table, decision) },
        `${rowsOf(table)} t ${own.joins.join(' ')}`,
        `(${own.expression}) is null${sight === 'data' ? still : ''}${unused}`,
      ),
    },
  ];
}

function isUnused(table: TablePlan): string {
  return (table.rule?.usedBy ?? [])
    .map((key) => {
      const on = key.columns.map((c, i) => `u.${ident(c)} = t.${ident(key.parentColumns[i] ?? '')}`).join(' and ');
      return `not exists (select from ${key.table} u where ${on})`;
    })
    .join(' and ');
}

/** Rows that tenants' rows of other tenants use, with those tenants; and those whose copies would break a unique key. */
function sharedRows(plan: Plan, table: TablePlan, sight: Sight): Listing[] {
  const keys = copiedBy(plan, table);
  const [first] = keys;
  if (first === undefined || table.rule === undefined) return [];
  const { graph, end, show } = eyesOf(plan, table.table, sight);
  const usesEnd: RouteEnd = (name, alias) => {
    const ended = end(name, alias);
    return ended === undefined ? undefined : show(ended);
  };
  const aliases = createAliases();
  const own =
    sight === 'data'
      ? { joins: [], expression: show(`t.${ident(plan.column)}`) }
      : rootAware(plan, table, graph, end, aliases);
  const names = first.parentColumns.map((_, i) => `k${i}`);
  const on = first.parentColumns.map((column, i) => `x.k${i} = t.${ident(column)}`).join(' and ');
  const uses = usesOf(walk, graph, table.table, { ...table.rule, usedBy: keys }, usesEnd);
  // by use alone the tenant is the first of several: the others are those that differ from it
  const byUse = table.rule.usedBy.length > 0;
  const tenant = byUse && sight === 'data' ? `coalesce(${own.expression}, x.tenants[1])` : own.expression;
  const quarantined = byUse && table.rule.sharedRows === 'quarantine';
  const mine = quarantined ? 'x.tenants[1]' : tenant;
  const from = `${rowsOf(table)} t ${own.joins.join(' ')} join (select ${names.join(', ')}, array_agg(distinct u.tenant) as tenants from (${uses}) u where u.tenant is not null group by ${names.join(', ')}) x on ${on}`;
  const columns = {
    tenant: mine,
    other: `array_to_string(array_remove(x.tenants, ${mine}), ' ')`,
    decision: literal(table.rule.sharedRows),
  };
  const shared = `pg_catalog.cardinality(array_remove(x.tenants, ${mine})) > 0`;
  const ways = keys.map((key) => `used by ${key.table}.${keyLabel(key)}`);
  return [
    { table: table.table, kind: 'shared row', ways, text: selectRows(table, columns, from, shared) },
    ...(table.rule.sharedRows === 'duplicate'
      ? brokenUniques(plan, table).map(({ name, columns: unique }): Listing => {
          const present = unique.map((c) => `t.${ident(c)} is not null`).join(' and ') || 'true';
          return {
            table: table.table,
            kind: 'copy breaks unique',
            ways: [`unique ${name} (${unique.join(', ')})`],
            text: selectRows(table, { ...columns, decision: `'stop'` }, from, `${shared} and ${present}`),
          };
        })
      : []),
  ];
}

/** The keys by which a row is used that may be another tenant's. */
export function copiedBy(plan: Plan, table: TablePlan): ForeignKey[] {
  if ((table.rule?.usedBy.length ?? 0) > 0) return [...(table.rule?.usedBy ?? [])];
  if (table.rule?.sharedRows !== 'duplicate') return [];
  return plan.tables.flatMap((user) =>
    (user.rule?.ways ?? []).filter((w) => w.decision === 'duplicate' && w.key.parent === table.table).map((w) => w.key),
  );
}

/** Unique keys that hold none of the columns that are another's in a copy. */
function brokenUniques(plan: Plan, table: TablePlan): TablePlan['uniques'] {
  const changed = new Set([...table.primaryKey, ...table.via.flatMap((key) => key.columns), plan.column]);
  return table.uniques.filter(
    (unique) => unique.decided !== 'per-tenant' && !unique.columns.some((column) => changed.has(column)),
  );
}

/** Rows whose tenant is neither what the decisions say nor what somebody released them to. */
function wrongTenant(plan: Plan, table: TablePlan): Listing[] {
  if (table.class === 'root' || table.via.length === 0) return [];
  const wrong = wrongBySql(plan, table);
  const show = (expression: string): string =>
    `(select o.key from tenantry.organizations o where o.id = (${expression}))`;
  return [
    {
      table: table.table,
      kind: 'wrong tenant',
      ways: table.via.map((way) => describeWay(plan, way)),
      text: selectRows(
        table,
        { tenant: show(wrong.actual), other: show(wrong.expected), decision: `'stop'` },
        `${rowsOf(table)} t ${wrong.joins.join(' ')}`,
        wrong.condition,
      ),
    },
  ];
}

/** `public.rental.inventory_id → public.inventory.store_id → public.store`. */
export function describeWay(plan: Plan, key: ForeignKey): string {
  const byName = new Map(plan.tables.map((t) => [t.table, t]));
  const parts = [`${key.table}.${keyLabel(key)}`];
  const seen = new Set<TableName>();
  let at = key.parent;
  for (let next = byName.get(at)?.via[0]; next !== undefined && !seen.has(at); next = byName.get(at)?.via[0]) {
    seen.add(at);
    parts.push(`${at}.${keyLabel(next)}`);
    at = next.parent;
  }
  return [...parts, at].join(' → ');
}
