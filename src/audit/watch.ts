import type { Kernel } from '../database/kernel.ts';
import { ident, literal, qualifiedName, type Statement } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { parseTableName } from '../isolation/facts.ts';
import { selectWatchable, selectWatched, type WatchableTable } from './queries/watch.ts';

export interface WatchOptions {
  /** Columns whose values never get into the log. Those that look like secrets by name, and bytea, are left out anyway. */
  readonly without?: readonly string[];
  /** Columns that look like secrets by name and are none. */
  readonly with?: readonly string[];
  /** The column that says whose row it is. Defaults to that of the protected table, then `tenant_id`. */
  readonly tenantColumn?: string;
}

/** A table whose changes are in the audit log. */
export interface WatchedTable {
  readonly table: string;
  readonly tenantColumn: string;
  readonly without: readonly string[];
  readonly with: readonly string[];
}

const trigger = 'tenantry_audit';
const truncateTrigger = 'tenantry_audit_truncate';

/**
 * Plans the triggers that log what is inserted, updated and deleted in a table, with old and new values, in the
 * transaction that does it.
 *
 * @throws TNT_INPUT_INVALID naming the column that is not there
 */
function planWatch(table: WatchableTable, schema: string, options: WatchOptions): Statement[] {
  const tenant = options.tenantColumn ?? table.tenantColumn ?? 'tenant_id';
  const { without = [], with: include = [] } = options;
  for (const column of [tenant, ...without, ...include]) {
    if (table.columns.includes(column)) continue;
    throw new TenantryError('TNT_INPUT_INVALID', `column: ${table.name} has no column ${column}.`, {
      hint: 'Name the tenant column with --tenant-column, and columns as they stand in the table.',
    });
  }
  if (table.primaryKey.length === 0) {
    throw new TenantryError(
      'TNT_INPUT_INVALID',
      `table: ${table.name} has no primary key, so no entry could say which row it is about.`,
    );
  }
  const ofRow = table.primaryKey.filter((column) => column !== tenant); // whose it is says the entry itself
  const rule = JSON.stringify({
    tenant,
    key: table.keyType !== null && table.keyType !== 'uuid',
    id: ofRow.length === 0 ? table.primaryKey : ofRow,
    without: [...new Set([...without, ...table.byteaColumns.filter((column) => !include.includes(column))])],
    with: include,
  });
  const name = qualifiedName(table.schema, table.table);
  return [
    ...planUnwatch(table),
    {
      purpose: `log row changes of ${table.name}`,
      text: `create trigger ${ident(trigger)} after insert or update or delete on ${name}
  for each row execute function ${ident(schema)}.audit_change(${literal(rule)})`,
    },
    {
      purpose: `log when ${table.name} is emptied`,
      text: `create trigger ${ident(truncateTrigger)} after truncate on ${name}
  for each statement execute function ${ident(schema)}.audit_change(${literal(rule)})`,
    },
  ];
}

function planUnwatch({ schema, table, name }: Pick<WatchableTable, 'schema' | 'table' | 'name'>): Statement[] {
  return [trigger, truncateTrigger].map((one) => ({
    purpose: `remove ${one} from ${name}`,
    text: `drop trigger if exists ${ident(one)} on ${qualifiedName(schema, table)}`,
  }));
}

export interface AuditWatch {
  /** @throws TNT_TABLE_UNKNOWN, TNT_INPUT_INVALID */
  watch(table: string, options?: WatchOptions): Promise<WatchedTable>;
  /** What has been logged stays. @throws TNT_TABLE_UNKNOWN */
  unwatch(table: string): Promise<void>;
  watched(): Promise<WatchedTable[]>;
}

/** @param admin a kernel over the migrating login, which owns the tables or belongs to who does */
export function createAuditWatch(admin: Kernel): AuditWatch {
  async function find(name: string): Promise<WatchableTable> {
    const { schema, table } = parseTableName(name);
    if (schema === admin.schema) {
      throw new TenantryError(
        'TNT_INPUT_INVALID',
        `table: ${schema}.${table} is Tenantry's own; what people do there is logged by its services.`,
      );
    }
    const found = await selectWatchable(admin, schema, table);
    if (found === undefined) throw new TenantryError('TNT_TABLE_UNKNOWN', `There is no table ${schema}.${table}.`);
    return found;
  }
  const run = (statements: readonly Statement[]): Promise<void> =>
    admin.transaction(async (tx) => {
      await tx.query("select set_config('lock_timeout', '5s', true)");
      for (const { text } of statements) await tx.query(text);
    });
  return {
    async watch(name, options = {}) {
      const table = await find(name);
      await run(planWatch(table, admin.schema, options));
      const made = (await selectWatched(admin)).find((one) => one.table === table.name);
      if (made === undefined) throw new TenantryError('TNT_INTERNAL', `The trigger on ${table.name} was not made.`);
      return made;
    },
    async unwatch(name) {
      await run(planUnwatch(await find(name)));
    },
    watched: () => selectWatched(admin),
  };
}
