import { ident, type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import type { TableName } from '../inspection.ts';
import { type Phase, type Plan, phases } from '../plan-types.ts';
import { mayBeWithout } from './follows.ts';

export interface QuarantineCount {
  readonly table: TableName;
  /** Rows without a tenant: only operators see them. */
  readonly rows: number;
}

/** By the index that leads with the tenant column: nothing is counted before it is there. */
export async function countQuarantine(db: Queryable, plan: Plan, phase: Phase): Promise<QuarantineCount[]> {
  if (plan.constant !== null || phases.indexOf(phase) < phases.indexOf('tighten')) return [];
  const counts: QuarantineCount[] = [];
  for (const table of plan.tables) {
    if (!plan.order.includes(table.table) || !mayBeWithout(plan, table)) continue;
    const { rows } = await db.query<Row & { rows: number }>(
      `select count(*)::float8 as rows from ${table.inherited ? 'only ' : ''}${table.table} where ${ident(plan.column)} is null`,
    );
    counts.push({ table: table.table, rows: rows[0]?.rows ?? 0 });
  }
  return counts;
}

export interface KeptCopy {
  readonly table: TableName;
  readonly original: string;
  readonly copy: string;
}

/** Copies that an undo left where they are, because somebody had changed them. */
export async function selectKeptCopies(db: Queryable, schema: string, runId: string): Promise<KeptCopy[]> {
  const { rows } = await db.query<Row & KeptCopy>(
    renderSchema(
      `select d.table_name as "table", d.original_key as original, d.new_key as copy from tenantry.adoption_duplicates d
       where d.run_id = $1::uuid order by 1, 2, 3`,
      schema,
    ),
    [runId],
  );
  return rows;
}
