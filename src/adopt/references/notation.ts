import type { TableName } from '../inspection.ts';

/** `public.notes(order_id)` in two parts. */
export interface ColumnsOfTable {
  readonly table: TableName;
  readonly columns: readonly string[];
}

/** `public.notes(order_id)`: how plans and reports write columns of a table. */
export function writeColumns(table: TableName, columns: readonly string[]): string {
  return `${table}(${columns.map(writeColumn).join(', ')})`;
}

const plain = /^[^\s"(),]+$/;
const writeColumn = (name: string): string => (plain.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** The way back; undefined where the text is no such thing. */
export function readColumns(text: string): ColumnsOfTable | undefined {
  const match = /^\s*((?:"(?:[^"]|"")*"|[^"(])+?)\s*\(((?:"(?:[^"]|"")*"|[^"()])+)\)\s*$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const columns = [...match[2].matchAll(/\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)/g)].map(
    (part) => part[1]?.replaceAll('""', '"') ?? part[2] ?? '',
  );
  return columns.length === 0 || columns.includes('') ? undefined : { table: match[1], columns };
}
