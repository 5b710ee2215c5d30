import { instantText } from '../directory/queries/columns.ts';
import { resourceColumns } from './queries.ts';
import type { ResourceFilter, ResourceListQuery } from './schema.ts';

/** Above this many principals, reading each one's visible set costs more than walking the resources. */
export const maxListedPrincipals = 64;
/** Up to this many visible resources are fetched one by one; beyond, the resources are read by the index that fits. */
export const sparseLimit = 5000;
/** Beyond this many a search first looks through the first {@link walkedRows} in the order asked for. */
export const denseLimit = 20_000;
export const walkedRows = 10_000;
/** Counts stop here. */
export const countLimit = 10_000;

export interface ListStatement {
  readonly text: string;
  readonly values: unknown[];
}

const sorts = {
  updatedAt: { column: 'updated_at', type: 'timestamptz', position: instantText('r.updated_at') },
  createdAt: { column: 'created_at', type: 'timestamptz', position: instantText('r.created_at') },
  name: { column: 'name', type: 'text', position: 'r.name' },
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

/**
 * The one statement of a page. Newest first or last, it merges the top of each principal's visible set; for a caller with
 * more than {@link maxListedPrincipals} (`wide`) it walks the resources instead. Any other order, filter or search goes by
 * how much the caller sees. Whatever the visible set says, the rows come from tenantry.resources, and its policy has the
 * last word.
 */
export function listStatement(
  tenantId: string,
  query: ResourceListQuery,
  { after, wide }: { after?: { value: string; id: string } | undefined; wide: boolean },
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
  const simple =
    query.sort === 'updatedAt' &&
    search === undefined &&
    query.workspaceId === undefined &&
    query.visibility === undefined &&
    query.ownerPrincipalId === undefined;

  const text = search !== undefined ? searched(search) : !simple ? fetchedOrRead() : wide ? walked() : topOfVisible();
  return { text, values: p.values };

  /** Top-N of each principal's visible set, merged: exact, because each index is in the order of the page. */
  function topOfVisible(): string {
    // Behind a sub-select a generic plan costs what a custom one does, and is kept: planning takes longer than the page.
    const known = `(select ${tenant})`;
    const types = typesOf(query);
    const typed = types.length < 2 ? '' : ` cross join unnest(${p.add(types, 'text[]')}) t(type)`;
    const bounds = [
      ...(types.length === 0
        ? []
        : [`v.type = ${types.length === 1 ? `(select ${p.add(types[0], 'text')})` : 't.type'}`]),
      ...(keyset === undefined ? [] : [`(v.updated_at, v.resource_id) ${keyset}`]),
      ...rangeConditions('v', query, p),
    ].map((condition) => ` and ${condition}`);
    return `with caller as materialized (select tenantry.caller_principals() as ids)
select ${resourceColumns}, ${position} as position, (select cardinality(c.ids) from caller c) as principals
from (
  select distinct v.updated_at, v.resource_id as id
  from caller c cross join unnest(c.ids) u(id)${typed}
  cross join lateral (
    select v.updated_at, v.resource_id from tenantry.resource_visible v
    where v.tenant_id = ${known} and v.principal_id = u.id${bounds.join('')}
    order by v.updated_at ${direction}, v.resource_id ${direction} limit ${limit}) v
  order by 1 ${direction}, 2 ${direction} limit ${limit}) k
join tenantry.resources r on r.tenant_id = ${known} and r.id = k.id
order by ${order('r')} limit ${limit}`;
  }

  function walked(): string {
    return `select ${resourceColumns}, ${position} as position, (select cardinality(tenantry.caller_principals())) as principals
from tenantry.resources r where ${filtered().join(' and ')} order by ${order('r')} limit ${limit}`;
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

  function visible(what: string, bound: string): string {
    return `select ${what} from caller c cross join unnest(c.ids) u(id)
    cross join lateral (select v.resource_id from tenantry.resource_visible v where v.tenant_id = ${tenant} and v.principal_id = u.id) v
    ${bound}`;
  }

  /** Few visible resources are fetched and sorted, many are read by the index that fits. */
  function fetchedOrRead(): string {
    const rows = filtered();
    const fetched = `(select distinct s.resource_id from seen s) s join tenantry.resources r on r.tenant_id = ${tenant} and r.id = s.resource_id`;
    return pageFrom(
      `seen as materialized (
  ${visible('v.resource_id', `limit ${sparseLimit + 1}`)}),
gate as materialized (select count(*) <= ${sparseLimit} as sparse from seen)`,
      `${behindGate('g.sparse', fetched, rows)}
  union all${behindGate('not g.sparse', 'tenantry.resources r', rows)}`,
    );
  }

  /**
   * Who sees much most likely finds a page among the first rows: these are walked in the order asked for. Who sees little,
   * or does not find a page there, has all that is visible searched, without a limit that would lure the planner into
   * walking everything. The limit of the walk is a sub-select, because the planner takes an unknown one for a tenth.
   */
  function searched(text: string): string {
    const rows = filtered();
    const found = filterConditions({ search: text }, p);
    const columns = [...new Set(['id', column, 'name'])].map((name) => `r.${name}`).join(', ');
    const first = `(select ${columns} from tenantry.resources r where g.dense and ${rows.join(' and ')}
      order by ${order('r')} limit (select ${walkedRows})) r`;
    const rest = `(not g.dense or (select count(*) from walked) < ${limit})`;
    const all = `(select ${columns} from tenantry.resources r where ${[rest, ...rows, ...found].join(' and ')} offset 0) r`;
    return pageFrom(
      `gate as materialized (select exists (${visible('1', `offset ${denseLimit}`)}) as dense),
walked as materialized (${behindGate('g.dense', first, found)})`,
      `
  select w.id from walked w
  union${behindGate('true', all, [])}`,
    );
  }
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
