import type { Classification, TableClass } from './classify.ts';
import type { TableName } from './inspection.ts';

/** What is told of a table before its checks are known. */
export type Draft = Omit<Classification, 'checks'>;
export const draft = (table: TableName, rest: Omit<Draft, 'table' | 'via' | 'path'> & Partial<Draft>): Draft => ({
  table,
  via: [],
  path: null,
  ...rest,
});

/** A tenant of its own: a column is added to these. */
export function hasTenant(tableClass: TableClass | undefined): boolean {
  return tableClass === 'root' || tableClass === 'owned' || tableClass === 'join';
}
