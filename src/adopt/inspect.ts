import type { Queryable } from '../database/sql.ts';
import { groupBy } from './graph.ts';
import type { ForeignKey, Inspection, TableFacts, TableName } from './inspection.ts';
import {
  selectColumns,
  selectForeignAndExtensionTables,
  selectForeignKeys,
  selectFunctions,
  selectPublished,
  selectSchemas,
  selectSequences,
  selectServer,
  selectTables,
  selectTriggers,
  selectUniques,
  selectViews,
} from './queries.ts';

/**
 * Reads the catalogue: tables, sizes, keys, the graph of foreign keys, partitions, views, functions, triggers, sequences.
 * Reads no rows and changes nothing.
 *
 * @param schema the schema of Tenantry's own tables, which is left out
 */
export async function inspectDatabase(db: Queryable, schema = 'tenantry'): Promise<Inspection> {
  const server = await selectServer(db);
  const tables = await selectTables(db, schema);
  const columns = groupBy(await selectColumns(db, schema), (row) => row.table);
  const uniques = groupBy(await selectUniques(db, schema), (row) => row.table);
  const others = await selectForeignAndExtensionTables(db, schema);
  return {
    database: server.database,
    login: server.login,
    serverVersion: server.version,
    tables: tables.map((row): TableFacts => {
      const keys = uniques.get(row.name) ?? [];
      return {
        ...row,
        columns: (columns.get(row.name) ?? []).map(({ table: _of, ...column }) => column),
        primaryKey: keys.find((key) => key.primary)?.columns ?? [],
        uniques: keys.filter((key) => !key.primary).map(({ table: _of, primary: _primary, ...unique }) => unique),
      };
    }),
    foreignKeys: liftPartitionKeys(await selectForeignKeys(db, schema)),
    triggers: await selectTriggers(db, schema),
    views: await selectViews(db, schema),
    functions: (await selectFunctions(db, schema)).map(({ source, ...rest }) => ({
      ...rest,
      touches: tablesIn(source, tables),
    })),
    sequences: await selectSequences(db, schema),
    schemas: await selectSchemas(db, schema),
    extensionTables: others.filter((o) => o.reason === 'extension').map((o) => o.name),
    foreignTables: others.filter((o) => o.reason === 'foreign').map((o) => o.name),
    published: await selectPublished(db, schema),
  };
}

type ForeignKeyRow = Awaited<ReturnType<typeof selectForeignKeys>>[number];

/** A key that only partitions declare counts once, for their root: the rows of the table follow it all the same. */
function liftPartitionKeys(rows: readonly ForeignKeyRow[]): ForeignKey[] {
  const lifted = new Map<string, ForeignKey & { onPartitions?: string[] }>();
  for (const { declaredOn, onRoot, hasHeirs, operators, ...rest } of rows) {
    const key = {
      ...rest,
      ...(hasHeirs ? { parentOnly: true as const } : {}),
      ...(operators.some((operator) => operator !== '=') ? { operators } : {}),
    };
    const id = `${key.table}(${key.columns.join()})>${key.parent}(${key.parentColumns.join()})`;
    const known = lifted.get(id);
    if (known === undefined) lifted.set(id, onRoot ? key : { ...key, onPartitions: [declaredOn] });
    else if (onRoot) lifted.set(id, key);
    else known.onPartitions?.push(declaredOn);
  }
  return [...lifted.values()];
}

/** Tables whose names a function's text holds as words; a name alone may mean another thing, so this is for people to read. */
function tablesIn(source: string, tables: readonly { name: TableName; table: string }[]): TableName[] {
  const words = new Set(
    source.match(/"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*/gu)?.map((word) => word.replaceAll('"', '')),
  );
  return tables.filter(({ table }) => words.has(table)).map(({ name }) => name);
}
