import { instantText } from '../directory/queries/columns.ts';
import { resourceColumns } from './queries.ts';
import type { ResourceFilter, ResourceListQuery } from './schema.ts';

/** Above this many principals, reading each one's visible set costs more than walking the resources. */
export const maxListedPrincipals = 64;
/** Up to this many visible resources are fetched one by one; beyond, the resources are walked in the order asked for. */
export const sparseLimit = 5000;
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
 * The one statement of a page. Two plans in it, of which the server runs one: it reads the caller's visible set, or walks
 * the resources under their policy; a condition on the caller alone (how many principals, how much they see) decides.
 * Whatever the visible set says, the rows come from tenantry.resources and its policy has the last word.
 */
export function listStatement(
  tenantId: string,
  query: ResourceListQuery,
  after: { value: string; id: string } | undefined,
): ListStatement {
  const p = new Parameters();
  const tenant = p.add(tenantId, 'uuid');
  const limit = p.add(query.limit + 1, 'int');
  const { column, type, position } = sorts[query.sort];
  const direction = directionOf(query);
  const order = (alias: string, id: string): string => `${alias}.${column} ${direction}, ${alias}.${id} ${direction}`;
  const keyset =
    after === undefined
      ? undefined
      : { op: direction === 'desc' ? '<' : '>', row: `(${p.add(after.value, type)}, ${p.add(after.id, 'uuid')})` };
  const conditions = (keyset === undefined ? [] : [`(r.${column}, r.id) ${keyset.op} ${keyset.row}`]).concat(
    filterConditions(query, p),
  );
  const where = ['true', ...conditions].join('\n      and ');
  const walk = (gate: string): string => `(
    select r.id from tenantry.resources r
    where r.tenant_id = ${tenant} and ${gate} and ${where}
    order by ${order('r', 'id')} limit ${limit})`;

  const simple =
    query.sort === 'updatedAt' &&
    query.workspaceId === undefined &&
    query.visibility === undefined &&
    query.ownerPrincipalId === undefined &&
    query.search === undefined;

  const head = simple ? topOfVisible() : fetchedOrWalked();
  return {
    text: `${head}
select ${resourceColumns}, ${position} as position
from page k join tenantry.resources r on r.tenant_id = ${tenant} and r.id = k.id
order by ${order('r', 'id')} limit ${limit}`,
    values: p.values,
  };

  /** Top-N of each principal's visible set, merged: exact, because each index is in the order of the page. */
  function topOfVisible(): string {
    const types = typesOf(query);
    const typed = types.length === 0 ? '' : ` cross join unnest(${p.add(types, 'text[]')}) t(type)`;
    const bounds = [
      ...(types.length === 0 ? [] : ['v.type = t.type']),
      ...(keyset === undefined ? [] : [`(v.updated_at, v.resource_id) ${keyset.op} ${keyset.row}`]),
      ...rangeConditions('v', query, p),
    ].map((condition) => ` and ${condition}`);
    return `with caller as materialized (select tenantry.caller_principals() as ids),
page as (
  (select k.id from (
    select distinct v.updated_at, v.resource_id as id
    from caller c cross join unnest(c.ids) u(id)${typed}
    cross join lateral (
      select v.updated_at, v.resource_id from tenantry.resource_visible v
      where v.tenant_id = ${tenant} and v.principal_id = u.id${bounds.join('')}
      order by v.updated_at ${direction}, v.resource_id ${direction} limit ${limit}) v
    where cardinality(c.ids) <= ${maxListedPrincipals}
    order by 1 ${direction}, 2 ${direction} limit ${limit}) k)
  union all
  ${walk(`(select cardinality(c.ids) > ${maxListedPrincipals} from caller c)`)}
)`;
  }

  /** Any other order or filter: few visible resources are fetched and sorted, many are walked by an index. */
  function fetchedOrWalked(): string {
    return `with caller as materialized (select tenantry.caller_principals() as ids),
seen as materialized (
  select v.resource_id from caller c cross join unnest(c.ids) u(id)
  cross join lateral (
    select v.resource_id from tenantry.resource_visible v
    where v.tenant_id = ${tenant} and v.principal_id = u.id limit ${sparseLimit + 1}) v
  limit ${sparseLimit + 1}),
density as materialized (select count(*) <= ${sparseLimit} as sparse from seen),
page as (
  (select r.id from (select distinct s.resource_id from seen s) s
    join tenantry.resources r on r.tenant_id = ${tenant} and r.id = s.resource_id
    where (select d.sparse from density d) and ${where}
    order by ${order('r', 'id')} limit ${limit})
  union all
  ${walk('(select not d.sparse from density d)')}
)`;
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
