import { type Queryable, renderSchema, type Row } from '../../database/sql.ts';

/** Changes of an old table that its trigger could not follow, of one kind. */
export interface MissedChange {
  readonly table: string;
  readonly sqlstate: string;
  /** Without what stood in quotation marks. */
  readonly message: string;
  readonly since: Date;
  readonly last: Date;
}

/** What waits for the next run, which follows it. */
export async function readMissed(db: Queryable, schema: string): Promise<MissedChange[]> {
  const { rows } = await db.query<Row & { table: string; sqlstate: string; message: string; since: Date; last: Date }>(
    renderSchema(
      `select m.table_name as "table", m.sqlstate, m.message, m.first_at as since, m.last_at as last from tenantry.adoption_missed_changes() m`,
      schema,
    ),
  );
  return rows;
}
