import type { Kernel } from '../../database/kernel.ts';
import type { WatchedTable } from '../watch.ts';

export interface WatchableTable {
  readonly schema: string;
  readonly table: string;
  /** `schema.table`, quoted where needed. */
  readonly name: string;
  readonly columns: string[];
  readonly byteaColumns: string[];
  readonly primaryKey: string[];
  /** Of the manifest, when the table is protected. */
  readonly tenantColumn: string | null;
  readonly keyType: string | null;
}

export async function selectWatchable(
  kernel: Kernel,
  schema: string,
  table: string,
): Promise<WatchableTable | undefined> {
  const [row] = await kernel.query<WatchableTable & Record<string, unknown>>(
    `select n.nspname as schema, c.relname as table, format('%I.%I', n.nspname, c.relname) as name,
       array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       array(select a.attname::text from pg_catalog.pg_attribute a
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.atttypid = 'bytea'::regtype) as "byteaColumns",
       array(select a.attname::text from pg_catalog.pg_index i
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
         where i.indrelid = c.oid and i.indisprimary order by array_position(i.indkey::int2[], a.attnum)) as "primaryKey",
       m.tenant_column as "tenantColumn", m.key_type as "keyType"
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     left join tenantry.table_modes m on m.table_schema = n.nspname and m.table_name = c.relname
     where n.nspname = $1::text and c.relname = $2::text and c.relkind in ('r', 'p')`,
    [schema, table],
  );
  return row;
}

export async function selectWatched(kernel: Kernel): Promise<WatchedTable[]> {
  return kernel.query<WatchedTable & Record<string, unknown>>(
    `select w.name as table, w.rule ->> 'tenant' as "tenantColumn", w.rule -> 'without' as without, w.rule -> 'with' as with
     from (
       select format('%I.%I', n.nspname, c.relname) as name,
         convert_from(substring(t.tgargs from 1 for octet_length(t.tgargs) - 1), 'UTF8')::jsonb as rule
       from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where t.tgname = 'tenantry_audit' and t.tgparentid = 0 and not t.tgisinternal) w
     order by 1`,
  );
}
