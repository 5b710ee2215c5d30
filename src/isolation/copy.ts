import { ident, qualifiedName, type Queryable, type Row } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { type CopyFormat, readCopyRows } from './copy-format.ts';
import { parseTableName } from './facts.ts';

export interface CopyRowsOptions {
  /** Columns in the order of the fields. Default: all that can be written, in table order. */
  readonly columns?: readonly string[];
  /** Rows of one INSERT. Default 1,000. */
  readonly batch?: number;
}

type Rows = AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>;

/**
 * Writes many rows into a protected table, which COPY … FROM cannot do: PostgreSQL refuses it under row-level security,
 * in shadow too. Each batch is one INSERT from arrays, so every row passes the policies; no staging table, nothing left
 * on the connection. Pass a client in a transaction for all or nothing.
 *
 * @returns the number of rows written
 * @throws TNT_TABLE_UNKNOWN, TNT_INPUT_INVALID, or the server's error (42501 for a row of another tenant)
 *
 * @example
 * ```ts
 * await withTenant({ tenantId }, () => copyRows(pool, 'public.orders', [['A-1', 12], ['A-2', 7]], { columns: ['number', 'total'] }));
 * ```
 */
export async function copyRows(
  database: Queryable,
  table: string,
  rows: Rows,
  { columns, batch = 1000 }: CopyRowsOptions = {},
): Promise<number> {
  const { text, width, types } = await insertFromArrays(database, table, columns);
  let number = 0;
  let waiting = 0;
  let pending: (string | null)[][] = types.map(() => []);
  const flush = async (): Promise<void> => {
    const full = pending;
    pending = types.map(() => []);
    waiting = 0;
    await database.query(text, full);
  };
  for await (const row of rows) {
    number += 1;
    if (row.length !== width) {
      throw new TenantryError('TNT_INPUT_INVALID', `Row ${number} has ${row.length} fields, ${table} takes ${width}.`, {
        details: { row: number, fields: row.length, columns: width },
      });
    }
    for (const [at, column] of pending.entries()) column.push(asText(row[at], types[at] as string));
    waiting += 1;
    if (waiting >= batch) await flush();
  }
  if (waiting > 0) await flush();
  return number;
}

/** {@link copyRows} for the data of a COPY … FROM STDIN, as text or CSV. */
export async function copyFrom(
  database: Queryable,
  table: string,
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  options: CopyRowsOptions & CopyFormat = {},
): Promise<number> {
  return copyRows(database, table, readCopyRows(source, options), options);
}

interface Insert {
  readonly text: string;
  readonly width: number;
  readonly types: readonly string[];
}

async function insertFromArrays(
  database: Queryable,
  table: string,
  columns: readonly string[] | undefined,
): Promise<Insert> {
  const name = parseTableName(table);
  const target = qualifiedName(name.schema, name.table);
  // the type without its length: a cast would cut a text that is too long, the column refuses it
  const { rows } = await database.query<Row & { name: string; type: string; generated: boolean }>(
    `select a.attname::text as name, pg_catalog.format_type(a.atttypid, -1) as type, a.attgenerated <> '' as generated
     from pg_catalog.pg_attribute a
     where a.attrelid = pg_catalog.to_regclass($1::text) and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [target],
  );
  if (rows.length === 0) throw new TenantryError('TNT_TABLE_UNKNOWN', `There is no table ${table}.`);
  const chosen = columns ?? rows.filter(({ generated }) => !generated).map((column) => column.name);
  const types = chosen.map((column) => {
    const found = rows.find((candidate) => candidate.name === column);
    if (found === undefined) throw new TenantryError('TNT_INPUT_INVALID', `${table} has no column "${column}".`);
    return found.type;
  });
  const values = types.map((type, at) => `u.c${at}::${type}`).join(', ');
  const arrays = types.map((_, at) => `$${at + 1}::text[]`).join(', ');
  return {
    text: `insert into ${target} (${chosen.map(ident).join(', ')}) select ${values} from unnest(${arrays}) as u(${types.map((_, at) => `c${at}`).join(', ')})`,
    width: chosen.length,
    types,
  };
}

/** A value as PostgreSQL reads it from text. */
function asText(value: unknown, type: string): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value) && type.endsWith('[]')) return arrayLiteral(value, type.slice(0, -2));
  if (typeof value === 'object') return JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  throw new TenantryError('TNT_INPUT_INVALID', `A ${typeof value} cannot be written to a column of type ${type}.`);
}

function arrayLiteral(values: readonly unknown[], type: string): string {
  const parts = values.map((value) => {
    if (Array.isArray(value)) return arrayLiteral(value, type);
    const text = asText(value, type);
    return text === null ? 'null' : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  });
  return `{${parts.join(',')}}`;
}
