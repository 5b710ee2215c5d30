import { type Queryable, type Row, renderSchema } from '../database/sql.ts';
import type { Operation, TableName } from './declaration.ts';

export type MissStatus = 'confirmed' | 'examined' | 'unconfirmed';

/** One kind of statement that touched rows it will not reach once the table is enforced. */
export interface ShadowReportRow {
  /** `schema.table`; empty for a statement that came without a context and whose table is not known. */
  readonly table: string;
  readonly operation: Operation;
  readonly status: MissStatus;
  readonly fingerprint: string;
  /** `src/orders.ts:41`, or empty when the statement did not come through the pool. */
  readonly callSite: string;
  /** Null: it came without a context. */
  readonly tenantId: string | null;
  /** Rows examined, at least. */
  readonly rows: number;
  readonly occurrences: number;
  /** Without values. */
  readonly statement: string;
  readonly firstSeen: Date;
  readonly lastSeen: Date;
}

export interface ShadowReportOptions {
  /** Only what was seen since. Default: since the table's shadow began. */
  readonly since?: Date;
  readonly table?: TableName;
  readonly status?: MissStatus;
  /** Default 500. */
  readonly limit?: number;
}

/** Confirmed first, then by how often. */
export async function readShadowReport(
  admin: Queryable,
  schema: string,
  { since, table, status, limit = 500 }: ShadowReportOptions = {},
): Promise<ShadowReportRow[]> {
  const { rows } = await admin.query<ShadowReportRow & Row>(
    renderSchema(
      `select case when s.table_name = '' then '' else s.table_schema || '.' || s.table_name end as "table", s.operation, s.status, s.fingerprint, s.call_site as "callSite",
         s.tenant_id as "tenantId", s."rows"::float8 as "rows", s.occurrences::float8 as occurrences, s.statement,
         s.first_seen as "firstSeen", s.last_seen as "lastSeen"
       from tenantry.shadow_misses s
       left join tenantry.table_modes m on m.table_schema = s.table_schema and m.table_name = s.table_name
       where s.last_seen >= coalesce($1::timestamptz, m.shadow_since, '-infinity')
         and ($2::text is null or (s.table_schema = $2::text and s.table_name = $3::text))
         and ($4::text is null or s.status = $4::text)
       order by array_position(array['confirmed', 'unconfirmed', 'examined'], s.status), s.occurrences desc, s.last_seen desc
       limit $5::int`,
      schema,
    ),
    [since ?? null, table?.schema ?? null, table?.table ?? null, status ?? null, limit],
  );
  return rows;
}
