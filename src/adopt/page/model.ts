import { hasTenant, type TableClass } from '../classify.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey, Inspection, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** A box of the graph: a table, or the organization that stands for the root where no table does. */
export interface PageNode {
  /** Its place in the list: ids in the page are numbers, never names. */
  readonly id: number;
  readonly table: TableName | null;
  /** As short as it can be told apart: the schema is left out where all tables are of one. */
  readonly label: string;
  readonly class: TableClass;
  /** Steps to the root by the ways the tenant comes; null for a table without a tenant. */
  readonly layer: number | null;
  readonly rows: number;
}

export interface PageEdge {
  readonly from: number;
  readonly to: number;
  /** `via`: the tenant comes by it. `check`: both ends are compared. `plain`: every other foreign key. */
  readonly kind: 'via' | 'check' | 'plain';
  /** The columns. */
  readonly label: string;
}

export interface PageGraph {
  readonly nodes: readonly PageNode[];
  readonly edges: readonly PageEdge[];
}

/** The tables and keys of a plan as boxes and lines. Pure. */
export function graphOfPlan(plan: Plan, inspection: Inspection): PageGraph {
  const oneSchema = new Set(plan.tables.map((table) => table.schema)).size === 1;
  const layers = layersOf(plan);
  const standIn = plan.root === null ? [standInOf(plan)] : [];
  const nodes: PageNode[] = [
    ...standIn,
    ...plan.tables.map((table, i) => ({
      id: i + standIn.length,
      table: table.table,
      label: oneSchema ? table.name : `${table.schema}.${table.name}`,
      class: table.class,
      layer: hasTenant(table.class) ? (layers.get(table.table) ?? 1) : null,
      rows: table.rows,
    })),
  ];
  const ids = new Map(nodes.flatMap(({ id, table }) => (table === null ? [] : [[table, id] as const])));
  return { nodes, edges: [...standInEdges(plan, ids), ...edgesOf(plan, inspection, ids)] };
}

function standInOf({ constant }: Plan): PageNode {
  return { id: 0, table: null, label: constant?.name ?? 'organizations', class: 'root', layer: 0, rows: -1 };
}

/** Without a root table the top of each way is the organization itself. */
function standInEdges(plan: Plan, ids: ReadonlyMap<TableName, number>): PageEdge[] {
  if (plan.root !== null) return [];
  return plan.tables
    .filter((table) => hasTenant(table.class) && table.via.length === 0)
    .filter((table) => plan.constant === null || !table.checks.some((key) => key.parent !== key.table))
    .flatMap(({ table }) => ids.get(table) ?? [])
    .map((from) => ({ from, to: 0, kind: 'via', label: plan.constant === null ? 'key' : 'default' }) as const);
}

function edgesOf(plan: Plan, inspection: Inspection, ids: ReadonlyMap<TableName, number>): PageEdge[] {
  const edges = new Map<string, PageEdge>();
  const add = (key: ForeignKey, kind: PageEdge['kind']): void => {
    const from = ids.get(key.table);
    const to = ids.get(key.parent);
    const id = `${from} ${to} ${keyLabel(key)}`;
    if (from !== undefined && to !== undefined && !edges.has(id))
      edges.set(id, { from, to, kind, label: keyLabel(key) });
  };
  for (const table of plan.tables) {
    for (const key of table.via) add(key, 'via');
    for (const key of table.checks) add(key, 'check');
  }
  for (const key of inspection.foreignKeys) add(key, 'plain');
  return [...edges.values()];
}

/** The root is 0, a table one more than the parent its tenant comes from first. A circle of checks alone has no end: it stays at 1. */
function layersOf(plan: Plan): Map<TableName, number> {
  const byName = new Map(plan.tables.map((table) => [table.table, table]));
  const layers = new Map<TableName, number>();
  const above = (table: TablePlan): readonly TableName[] =>
    plan.constant === null ? table.via.slice(0, 1).map((key) => key.parent) : table.checks.map((key) => key.parent);
  const layerOf = (name: TableName, seen: ReadonlySet<TableName>): number => {
    const known = layers.get(name);
    if (known !== undefined) return known;
    const table = byName.get(name);
    if (table === undefined || seen.has(name)) return 0;
    const parents = above(table).filter((parent) => parent !== name && !seen.has(parent));
    const layer =
      table.class === 'root'
        ? 0
        : 1 + Math.max(0, ...parents.map((parent) => layerOf(parent, new Set([...seen, name]))));
    layers.set(name, layer);
    return layer;
  };
  for (const table of plan.tables) if (hasTenant(table.class)) layerOf(table.table, new Set());
  return layers;
}
