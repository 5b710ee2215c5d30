import { ident } from '../../database/sql.ts';

export interface Assignments {
  /** `name = $3::text, slug = $4::text` */
  readonly text: string;
  readonly values: unknown[];
}

/** The fields that an update names, as assignments; undefined when it names none. Columns and types come from code. */
export function assignments<K extends string>(
  input: Partial<Record<K, unknown>>,
  columns: Readonly<Record<K, readonly [column: string, type: string]>>,
  firstParameter: number,
): Assignments | undefined {
  const parts: string[] = [];
  const values: unknown[] = [];
  for (const field of Object.keys(columns) as K[]) {
    const value = input[field];
    if (value === undefined) continue;
    const [column, type] = columns[field];
    parts.push(`${ident(column)} = $${firstParameter + values.length}::${type}`);
    values.push(type === 'jsonb' ? JSON.stringify(value) : value);
  }
  return parts.length === 0 ? undefined : { text: parts.join(', '), values };
}
