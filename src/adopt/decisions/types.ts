import type { ForeignKey } from '../inspection.ts';

/** What happens to rows whose other way leads to another tenant. `via`: the way of `via` decides, and the other may lead elsewhere. */
export type ConflictDecision = 'via' | 'quarantine' | 'stop';

/** What happens to rows whose way leads nowhere. */
export type OrphanDecision = 'quarantine' | 'stop' | `organization:${string}`;

/** What happens to rows of a table that several tenants use. */
export type SharedRowsDecision = 'share' | 'duplicate' | 'quarantine' | 'stop';

/** What a person decided about rows of one table that do not belong to one tenant as they are. Everything left out is `stop`. */
export interface RowDecisions {
  /** For every other way, or for each by its columns: `staff_id`, or `staff_id → customer_id` with the way that wins. */
  readonly conflicts?: ConflictDecision | Readonly<Record<string, ConflictDecision>> | undefined;
  /** Single rows by their key, `(17)` or `(17,"a b")`: the columns of the way that wins, or `quarantine`. */
  readonly rows?: Readonly<Record<string, string>> | undefined;
  readonly orphans?: OrphanDecision | undefined;
  readonly sharedRows?: SharedRowsDecision | undefined;
}

/** `duplicate`: the row that the way leads to is copied for the tenant. */
export type WayDecision = ConflictDecision | 'duplicate';

/** A way that the tenant does not come by first, and what is decided for rows that it leads elsewhere. */
export interface OtherWay {
  readonly key: ForeignKey;
  readonly decision: WayDecision;
}

/** The decisions for a table, with every name resolved. */
export interface TableRule {
  readonly ways: readonly OtherWay[];
  /** `way` null: quarantine. */
  readonly rows: readonly { readonly key: string; readonly way: ForeignKey | null }[];
  readonly orphans: OrphanDecision;
  readonly sharedRows: SharedRowsDecision;
  /** Keys of tenants' rows to this table, where it has no way of its own: a row belongs to the tenant that uses it. */
  readonly usedBy: readonly ForeignKey[];
  /** The key columns' types, as `format_type` prints them. */
  readonly keyTypes: readonly string[];
}
