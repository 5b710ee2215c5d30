import type { TableName } from '../inspection.ts';
import type { Phase } from '../plan-types.ts';

/** Something that the committed plan and the database do not agree about. */
export interface PlanDifference {
  /**
   * `table-new`, `table-gone`, `key-new`, `key-gone`: the schema has changed. `undecided`: a table without a class. `decision`: the
   * file says something else than the adoption that is open. `trigger-off`: what keeps tenants right is missing or disabled.
   * `invalid`: the plan cannot be carried out as it stands. `not-accepted`: the file decides, and the database was not told.
   */
  readonly kind:
    | 'table-new'
    | 'table-gone'
    | 'key-new'
    | 'key-gone'
    | 'undecided'
    | 'decision'
    | 'trigger-off'
    | 'invalid'
    | 'not-accepted';
  readonly table: TableName | null;
  /** Of a foreign key. */
  readonly columns: readonly string[];
  /** In the plan file, from 1. */
  readonly line: number;
  readonly message: string;
  /** The next step. */
  readonly remedy: string;
  /** `note`: nothing has drifted, but there is something to do. */
  readonly level: 'drift' | 'note';
}

export interface PlanCheck {
  /** No drift: notes alone do not count. */
  readonly ok: boolean;
  /** How far the adoption is; null before one. */
  readonly phase: Phase | null;
  readonly tables: number;
  /** In the order of their lines. */
  readonly differences: readonly PlanDifference[];
}

type Rest = Partial<Pick<PlanDifference, 'columns' | 'level'>>;

export function difference(
  kind: PlanDifference['kind'],
  line: number,
  table: TableName | null,
  message: string,
  remedy: string,
  { columns = [], level = 'drift' }: Rest = {},
): PlanDifference {
  return { kind, table, columns, line, message, remedy, level };
}
