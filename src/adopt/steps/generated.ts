import { ident } from '../../database/sql.ts';
import type { TablePlan } from '../plan-types.ts';

/**
 * A BEFORE trigger sees no generated column: where one is a key, its value is worked out from the row. PostgreSQL computes it
 * again afterwards, so this writes nothing.
 */
export function computeGenerated(table: TablePlan): string {
  return table.generated
    .map(({ column, expression }) => `  new.${ident(column)} := (select ${expression} from (select new.*) r);\n`)
    .join('');
}

/** The columns that a WHEN condition may name: instead of a generated one those that it is computed from. */
export function storedColumns(table: TablePlan, columns: readonly string[]): string[] {
  return [...new Set(columns.flatMap((c) => table.generated.find(({ column }) => column === c)?.reads ?? [c]))];
}
