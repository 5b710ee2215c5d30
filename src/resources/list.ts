import { instantText } from '../directory/queries/columns.ts';
import { resourceColumns } from './queries.ts';
import type { ResourceFilter, ResourceListQuery } from './schema.ts';

/** Up to this many visible resources are fetched one by one; beyond, the resources are read by the index that fits. */
export const sparseLimit = 5000;
/** A search by somebody who sees much first looks through this many in the order asked for. */
export const walkedRows = 10_000;
/** Counts stop here. */
export const countLimit = 10_000;

/**
 * What tenantry.list_shape() found of a caller: which way a page goes fastest, or whether so much is visible that a
 * search should begin at the top. Any way gives the same rows to anybody.
 */
export interface Shape {
  readonly way: 'few' | 'walk' | 'merge';
  readonly many: boolean;
  /** With `walk`: where the first page ended. No further is walked. */
  readonly until: { readonly value: string; readonly id: string } | undefined;
}

export interface ListStatement {
  readonly text: string;
  readonly values: unknown[];
}

/** A number takes a tenth of the time that text does. It tells microseconds apart until the year 2106. */
const seconds = (column: string): string => `date_part('epoch', r.${column})`;

const sorts = {
  updatedAt: { column: 'updated_at', type: 'timestamptz', position: seconds('updated_at') },
  createdAt: { column: 'created_at', type: 'timestamptz', position: seconds('created_at') },
  name: { column: 'name', type: 'text', position: 'null::float8' },
} as const;

export type Direction = 'asc' | 'desc';

export const directionOf = ({ sort, order }: Pick<ResourceListQuery, 'sort' | 'order'>): Direction =>
  order ?? (sort === 'name' ? 'asc' : 'desc');

class Parameters {
  readonly values: unknown[] = [];
  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

/** Whether a {@link Shape} helps with this list. */
export const isShaped = (query: ResourceListQuery): boolean => query.search !== undefined || isSimple(query);

const isSimple = (query: ResourceListQuery): boolean =>
  query.sort === 'updatedAt' &&
  query.search === undefined &&
  query.workspaceId === undefined &&
  query.visibility === undefined &&
  query.ownerPrincipalId === undefined;

/**
 * The one statement of a page. Where the caller's {@link Shape} is known, it goes straight the way that fits: few are
 * fetched and sorted, who sees most of it walks the index, and for everybody else the top of each principal's visible set
 * is merged. Where it is not, the statement brings it along. Any other order or filter goes by how much the caller sees.
 * Whatever the way, the rows come from tenantry.resources, and its policy has the last word.
 */
export function listStatement(
  tenantId: string,
  query: ResourceListQuery,
  { after, shape }: { after?: { value: string; id: string } | undefined; shape?: Shape | undefined } = {},
): ListStatement {
  const p = new Parameters();
  const tenant = p.add(tenantId, 'uuid');
  // Written out: a generic plan takes an unknown limit for a tenth of the rows, is dropped for it, and each run plans anew.
  const limit = query.limit + 1;
  const { column, type, position } = sorts[query.sort];
  const direction = directionOf(query);
  const keyset =
    after === undefined
      ? undefined
      : `${direction === 'desc' ? '<' : '>'} (${p.add(after.value, type)}, ${p.add(after.id, 'uuid')})`;
  const order = (alias: string): string => `${alias}.${column} ${direction}, ${alias}.id ${direction}`;
  const { search, ...filter } = query;
  const types = typesOf(query);

  const text = page();
  return { text: shape === undefined && isShaped(query) ? withShape(text) : text, values: p.values };

  function page(): string {
    if (search !== undefined) return searched(search);
    if (!isSimple(query)) return fetchedOrRead();
    if (shape?.way === 'few') return output(fenced(filtered()));
    if (isWalked(query, shape)) return walked(shape.until);
    return output(topOfVisible());
  }

  /** With the shape in every row, and in a row of its own when the page is empty. */
  function withShape(rows: string): string {
    const only = types.length === 1 ? p.add(types[0], 'text') : 'null::text';
    return `with shape as materialized (select * from tenantry.list_shape(${only}, ${limit}, ${search !== undefined}))
select s.way, s.many, ${instantText('s.until_at')} as "untilAt", s.until_id as "untilId", l.* from shape s left join (
${rows}) l on true order by l."${query.sort}" ${direction}, l.id ${direction}`;
  }

  function output(rows: string): string {
    return `select ${resourceColumns}, ${position} as position from ${rows}
order by ${order('r')} limit ${limit}`;
  }

  /** All that is visible, to be sorted: without a limit inside, which would lure the planner into walking everything. */
  function fenced(conditions: readonly string[]): string {
    return `(select r.* from tenantry.resources r where ${conditions.join(' and ')} offset 0) r`;
  }

  function walked(until: { value: string; id: string }): string {
    const only = types.length === 1 ? p.add(types[0], 'text') : 'null::text';
    const bounds = `${p.add(until.value, 'timestamptz')}, ${p.add(until.id, 'uuid')}`;
    return output(`tenantry.newest_resources(${only}, ${bounds}, ${limit}) r where r.tenant_id = ${tenant}`);
  }

  /** Top-N of each principal's visible set, merged: exact, because each index is in the order of the page. */
  function topOfVisible(): string {
    // Behind a sub-select a generic plan costs what a custom one does, and is kept: planning takes longer than the page.
    const known = `(select ${tenant})`;
    const typed = types.length < 2 ? '' : ` cross join unnest(${p.add(types, 'text[]')}) t(type)`;
    const bounds = [
      ...(types.length === 0
        ? []
        : [`v.type = ${types.length === 1 ? `(select ${p.add(types[0], 'text')})` : 't.type'}`]),
      ...(keyset === undefined ? [] : [`(v.updated_at, v.resource_id) ${keyset}`]),
      ...rangeConditions('v', query, p),
    ].map((condition) => ` and ${condition}`);
    return `(
    select distinct v.updated_at, v.resource_id as id
    from unnest(tenantry.caller_principals()) u(id)${typed}
    cross join lateral (
      select v.updated_at, v.resource_id from tenantry.resource_visible v
      where v.tenant_id = ${known} and v.principal_id = u.id${bounds.join('')}
      order by v.updated_at ${direction}, v.resource_id ${direction} limit ${limit}) v
    order by 1 ${direction}, 2 ${direction} limit ${limit}) k
  join tenantry.resources r on r.tenant_id = ${known} and r.id = k.id`;
  }

  function filtered(): string[] {
    return [
      `r.tenant_id = ${tenant}`,
      ...(keyset === undefined ? [] : [`(r.${column}, r.id) ${keyset}`]),
      ...filterConditions(filter, p),
    ];
  }

  /** The rows of `ids`, a list of `k.id`; the join puts them under the policy once more. */
  function pageFrom(ctes: string, ids: string): string {
    return `with caller as materialized (select tenantry.caller_principals() as ids),
${ctes},
page as (${ids}
)
select ${resourceColumns}, ${position} as position
from page k join tenantry.resources r on r.tenant_id = ${tenant} and r.id = k.id
order by ${order('r')} limit ${limit}`;
  }

  /** Ids in order, from a plan that stands behind a row of the gate: without it the plan is not even started. */
  function behindGate(gate: string, from: string, conditions: readonly string[]): string {
    return `
  select k.id from gate g cross join lateral (
    select r.id from ${from} where ${[gate, ...conditions].join(' and ')}
    order by ${order('r')} limit ${limit}) k`;
  }

  /** Few visible resources are fetched and sorted, many are read by the index that fits. */
  function fetchedOrRead(): string {
    const rows = filtered();
    const fetched = `(select distinct s.resource_id from seen s) s join tenantry.resources r on r.tenant_id = ${tenant} and r.id = s.resource_id`;
    return pageFrom(
      `seen as materialized (
  select v.resource_id from caller c cross join unnest(c.ids) u(id)
    cross join lateral (select v.resource_id from tenantry.resource_visible v where v.tenant_id = ${tenant} and v.principal_id = u.id) v
    limit ${sparseLimit + 1}),
gate as materialized (select count(*) <= ${sparseLimit} as sparse from seen)`,
      `${behindGate('g.sparse', fetched, rows)}
  union all${behindGate('not g.sparse', 'tenantry.resources r', rows)}`,
    );
  }

  /**
   * Who sees much most likely finds a page among the first rows: these are walked in the order asked for. Who sees little,
   * or does not find a page there, has all that is visible searched. The limit of the walk is a sub-select, because the
   * planner takes an unknown one for a tenth.
   */
  function searched(words: string): string {
    const rows = filtered();
    const found = filterConditions({ search: words }, p);
    if (shape?.many === false) return output(fenced([...rows, ...found]));
    const much = shape === undefined ? ['(select s.many from shape s)'] : [];
    const short = `(select count(*) from walked) < ${limit}`;
    return `with walked as materialized (
  select r.* from (select r.* from tenantry.resources r where ${[...much, ...rows].join(' and ')}
    order by ${order('r')} limit (select ${walkedRows})) r
  where ${found.join(' and ')} order by ${order('r')} limit ${limit})
${output(`(
  select * from walked where not (${short})
  union all select * from ${fenced([short, ...rows, ...found])}) r`)}`;
  }
}

/** Where a row stands in the order of its list, for the cursor. */
export function positionOf(sort: ResourceListQuery['sort'], row: { name: string; position: unknown }): string {
  if (sort === 'name') return row.name;
  const microseconds = Math.round(Number(row.position) * 1e6);
  const milliseconds = Math.floor(microseconds / 1000);
  const [day = '', time = ''] = new Date(milliseconds).toISOString().split('T');
  const rest = String(microseconds - milliseconds * 1000).padStart(3, '0');
  return `${day} ${time.slice(0, -1)}${rest}+00`;
}

/** Density is known of the newest rows alone, so that only the first page is walked. */
export function isWalked(
  query: ResourceListQuery,
  shape: Shape | undefined,
): shape is Shape & { readonly until: { readonly value: string; readonly id: string } } {
  return (
    shape?.until !== undefined &&
    isSimple(query) &&
    directionOf(query) === 'desc' &&
    query.cursor === undefined &&
    query.updatedFrom === undefined &&
    query.updatedBefore === undefined &&
    typesOf(query).length < 2
  );
}

/** How many there are, up to {@link countLimit}. */
export function countStatement(tenantId: string, filter: ResourceFilter): ListStatement {
  const p = new Parameters();
  const tenant = p.add(tenantId, 'uuid');
  const where = ['true', ...filterConditions(filter, p)].join(' and ');
  return {
    text: `select count(*)::int as count from (
  select 1 from tenantry.resources r where r.tenant_id = ${tenant} and ${where} limit ${countLimit + 1}) bounded`,
    values: p.values,
  };
}

function filterConditions(filter: ResourceFilter, p: Parameters): string[] {
  const types = typesOf(filter);
  return [
    ...(types.length === 0
      ? []
      : types.length === 1
        ? [`r.type = ${p.add(types[0], 'text')}`]
        : [`r.type = any (${p.add(types, 'text[]')})`]),
    ...(filter.workspaceId === undefined ? [] : [`r.workspace_id = ${p.add(filter.workspaceId, 'uuid')}`]),
    ...(filter.visibility === undefined ? [] : [`r.visibility = ${p.add(filter.visibility, 'text')}`]),
    ...(filter.ownerPrincipalId === undefined
      ? []
      : [`r.owner_principal_id = ${p.add(filter.ownerPrincipalId, 'uuid')}`]),
    ...rangeConditions('r', filter, p),
    ...(filter.search === undefined ? [] : [`r.name ilike ${p.add(`%${escapeLike(filter.search)}%`, 'text')}`]),
  ];
}

function rangeConditions(alias: string, filter: ResourceFilter, p: Parameters): string[] {
  return [
    ...(filter.updatedFrom === undefined ? [] : [`${alias}.updated_at >= ${p.add(filter.updatedFrom, 'timestamptz')}`]),
    ...(filter.updatedBefore === undefined
      ? []
      : [`${alias}.updated_at < ${p.add(filter.updatedBefore, 'timestamptz')}`]),
  ];
}

function typesOf({ type }: ResourceFilter): string[] {
  if (type === undefined) return [];
  return typeof type === 'string' ? [type] : [...new Set(type)];
}

/** PostgreSQL docs, "Pattern Matching": the three characters with a meaning in LIKE. */
function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}
