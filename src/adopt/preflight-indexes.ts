import { counted } from '../counted.ts';
import { ident, type Queryable, type Row } from '../database/sql.ts';
import type { TableName } from './inspection.ts';
import type { Plan } from './plan-types.ts';
import type { PreflightFinding } from './preflight.ts';

/** Most keys that are listed; the count is exact. */
const listed = 10;

/**
 * What is wrong with indexes before anything is changed: ones that a failed CREATE INDEX CONCURRENTLY left behind, the duplicates that
 * keep a unique one from being made again, and names that the plan needs and somebody else has taken.
 */
export async function indexFindings(
  db: Queryable,
  plan: Plan,
  tables: readonly TableName[],
): Promise<PreflightFinding[]> {
  const findings: PreflightFinding[] = [];
  for (const { table, index, unique, columns } of await selectInvalid(db, tables)) {
    findings.push({
      code: 'invalid-index',
      level: 'warning',
      object: table,
      message: `index ${index} of ${table} is invalid: a CREATE INDEX CONCURRENTLY failed, and it costs every write without helping a query`,
      fix: `drop index concurrently ${index};`,
    });
    if (!unique || columns === null) continue;
    const { keys, count } = await selectDuplicates(db, table, columns);
    if (count === 0) continue;
    findings.push({
      code: 'duplicate-keys',
      level: 'blocker',
      object: table,
      message: `${counted(count, 'key')} (${columns.join(', ')}) of ${table} ${count === 1 ? 'is' : 'are'} there more than once, so that ${index} cannot be unique, nor unique per tenant: ${keys.join(', ')}${count > keys.length ? ', …' : ''}`,
      fix: `-- remove the duplicates, then: reindex index concurrently ${index};`,
    });
  }
  for (const index of await selectTaken(db, plan)) {
    findings.push({
      code: 'index-name-taken',
      level: 'blocker',
      object: index,
      message: `an index or table ${index} is there already, and the plan makes one of that name`,
      fix: `alter index ${index} rename to …;`,
    });
  }
  return findings;
}

async function selectInvalid(
  db: Queryable,
  tables: readonly TableName[],
): Promise<{ table: TableName; index: string; unique: boolean; columns: string[] | null }[]> {
  const { rows } = await db.query<Row & { table: TableName; index: string; unique: boolean; columns: string[] | null }>(
    `select t.name as "table", x.indexrelid::regclass::text as index, x.indisunique as unique,
            case when x.indpred is null and x.indexprs is null then
              (select array_agg(a.attname::text order by k.o) from unnest(x.indkey::int2[]) with ordinality k(attnum, o)
               join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum where k.o <= x.indnkeyatts) end as columns
     from unnest($1::text[]) t(name) join pg_index x on x.indrelid = t.name::regclass join pg_class i on i.oid = x.indexrelid
     where not x.indisvalid and i.relkind = 'i' order by 1, 2`,
    [tables],
  );
  return rows;
}

async function selectDuplicates(
  db: Queryable,
  table: TableName,
  columns: readonly string[],
): Promise<{ keys: string[]; count: number }> {
  const list = columns.map((column) => `t.${ident(column)}`).join(', ');
  const text = columns.map((column) => `t.${ident(column)}::text`).join(` || ':' || `);
  const present = columns.map((column) => `t.${ident(column)} is not null`).join(' and ');
  const { rows } = await db.query<Row & { keys: string[] | null; count: number }>(
    `select (array_agg(d.key order by d.key))[1:${listed}] as keys, count(*)::int as count
     from (select min(${text}) as key from ${table} t where ${present} group by ${list} having count(*) > 1) d`,
  );
  return { keys: rows[0]?.keys ?? [], count: rows[0]?.count ?? 0 };
}

/** Nothing of the plan is there before its run begins. */
async function selectTaken(db: Queryable, plan: Plan): Promise<string[]> {
  const names = plan.steps.flatMap((step) => (step.kind === 'index' ? [step.index] : []));
  const { rows } = await db.query<Row & { name: string }>(
    `select to_regclass(n.name)::text as name from unnest($1::text[]) n(name) where to_regclass(n.name) is not null order by 1`,
    [names],
  );
  return rows.map((row) => row.name);
}
