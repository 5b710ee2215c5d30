import type { Queryable, Row } from '../database/sql.ts';
import type { TableName } from './declaration.ts';

/** An index that policies make useless for some conditions, because PostgreSQL evaluates what may leak only afterwards. */
export interface LeakyIndex extends TableName {
  readonly index: string;
  readonly method: string;
  readonly definition: string;
  /** Scans since the statistics were last reset. */
  readonly scans: number;
  /** Operators of the index that are not leakproof, e.g. `~~`, `@>`. */
  readonly operators: readonly string[];
  /** Functions in its expressions that are not leakproof, e.g. `lower(text)`. */
  readonly functions: readonly string[];
}

const leakyIndexesQuery = `
select n.nspname as "schema", t.relname as "table", c.relname as "index", am.amname as "method",
  pg_catalog.pg_get_indexdef(i.indexrelid) as "definition", coalesce(s.idx_scan, 0)::float8 as "scans",
  found.operators, found.functions
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am am on am.oid = c.relam
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
left join pg_catalog.pg_stat_all_indexes s on s.indexrelid = i.indexrelid
cross join lateral (
  select array(
      select o.oprname::text from pg_catalog.pg_opclass oc
      join pg_catalog.pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype and ao.amoppurpose = 's'
        -- a b-tree also compares timestamps with dates, which may overflow; nobody's usual condition
        and (ao.amoplefttype = ao.amoprighttype or am.amname not in ('btree', 'hash'))
      join pg_catalog.pg_operator o on o.oid = ao.amopopr
      join pg_catalog.pg_proc p on p.oid = o.oprcode
      where oc.oid = any (i.indclass) and not p.proleakproof
      union
      -- LIKE uses such an index by way of a rule of the planner, not as an operator of the index
      select '~~' from pg_catalog.pg_opclass oc where oc.oid = any (i.indclass) and oc.opcname like '%\\_pattern\\_ops'
      order by 1
    ) as operators,
    array(
      select distinct p.oid::pg_catalog.regprocedure::text
      from pg_catalog.regexp_matches(i.indexprs::text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m
      join pg_catalog.pg_proc p on p.oid = m[1]::oid
      where not p.proleakproof order by 1
    ) as functions
) found
where (cardinality(found.operators) > 0 or cardinality(found.functions) > 0)
  and n.nspname = any ($1::text[]) and ($2::text[] is null or t.relname = any ($2::text[]))
order by coalesce(s.idx_scan, 0) desc, n.nspname, t.relname, c.relname`;

/**
 * The indexes of some tables that a policy will keep from being used for their own operators (LIKE, trigram, jsonb,
 * arrays, full text, numeric and enum equality): under it the tenant's index finds the rows and the condition filters them.
 * Most used first. For preflight and doctor.
 */
export async function readLeakyIndexes(database: Queryable, tables: readonly TableName[]): Promise<LeakyIndex[]> {
  const schemas = [...new Set(tables.map(({ schema }) => schema))];
  const { rows } = await database.query<LeakyIndex & Row>(leakyIndexesQuery, [
    schemas,
    tables.map(({ table }) => table),
  ]);
  const asked = new Set(tables.map(({ schema, table }) => `${schema}\0${table}`));
  return rows.filter(({ schema, table }) => asked.has(`${schema}\0${table}`));
}
