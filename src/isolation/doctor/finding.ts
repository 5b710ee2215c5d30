/** `error`: a tenant can reach another's rows, or policies do not hold. `warn`: it takes one more mistake. `info`: worth knowing. */
export type Level = 'error' | 'warn' | 'info';

/** From harmless to grave. */
export const levels: readonly Level[] = ['info', 'warn', 'error'];

/** One row of a check; every `sql/checks/*.sql` returns these columns, and every probe these rows. */
export interface CheckRow {
  /** What it is about: `public.orders`, `login app`. */
  readonly object: string;
  /** Where this row is graver or milder than its check. */
  readonly level: Level | null;
  readonly detail: string;
  /** The next step: SQL for a person to judge, or a sentence. */
  readonly fix: string;
  /** SQL that `--fix` may run without asking: it takes nothing away that a correct application uses. */
  readonly statement: string | null;
  /** What tells this finding from others of its check, the same in every run. */
  readonly key: string;
}

/** One thing that doctor found. */
export interface Finding {
  /** The check: `TD011`. */
  readonly code: string;
  readonly level: Level;
  /** `TD024:public.orders:orders_customer_id_fkey`: the same in every run; suppressions name it. */
  readonly key: string;
  readonly object: string;
  readonly detail: string;
  readonly fix: string;
  /** The page of the check, from the root of the project. */
  readonly docs: string;
  /** Present when `--fix` may repair it. */
  readonly statement?: string;
}

/** A finding that is known: `doctor: { ignore: [{ key, reason, until }] }` in `tenantry.config.ts`. */
export interface Suppression {
  /** The finding's key, whole. */
  readonly key: string;
  readonly reason: string;
  /** The last day it counts (YYYY-MM-DD); after it the finding is back, and so is one about this entry. */
  readonly until?: string | undefined;
}

export interface SuppressedFinding {
  readonly finding: Finding;
  readonly reason: string;
  readonly until?: string;
}

/** What became of one check. */
export interface CheckOutcome {
  readonly code: string;
  readonly title: string;
  readonly outcome: 'silent' | 'found' | 'skipped';
  /** Why it was skipped. */
  readonly reason?: string;
}

export interface DoctorReport {
  /** Grave ones first. */
  readonly findings: readonly Finding[];
  readonly suppressed: readonly SuppressedFinding[];
  readonly checks: readonly CheckOutcome[];
  readonly server: { readonly version: string; readonly number: number };
  /** The login that was examined: the one of the connection. */
  readonly login: string;
  /** Milliseconds. */
  readonly duration: number;
}

/** The page of a check. */
export function docsOf(code: string): string {
  return `docs/checks/${code}.md`;
}
