import type { TransactionStatus } from './pg-internals.ts';
import type { StatementKind } from './statement-class.ts';

/** What goes to the server for one submission. */
export type Decision =
  /** the context in front */
  | 'prefix'
  /** as it is */
  | 'plain'
  /** nothing: another tenant's transaction is open here */
  | 'changed';

/** What the transaction that is open on a connection was told. */
export interface TransactionContext {
  /** Identity of the context that was sent in it; undefined when none was. */
  readonly sent: string | undefined;
  /** A savepoint or chain may have taken the setting back: send it again. */
  readonly stale: boolean;
}

/** Kinds that touch no tenant's row: they go as they are, and need no context. */
export function needsNoContext(kind: StatementKind): boolean {
  return kind === 'begin' || kind === 'control' || kind === 'session' || kind === 'outside' || kind === 'empty';
}

/**
 * Whether a statement carries the context. Taken when it is submitted, not when it is asked for: only then is the
 * transaction status known.
 *
 * @param identity of the caller's context; undefined when nothing would be sent for it
 */
export function decide(
  status: TransactionStatus,
  kind: StatementKind,
  identity: string | undefined,
  transaction: TransactionContext,
): Decision {
  const others = transaction.sent !== undefined && transaction.sent !== identity;
  // A prefix would fail with 25P02, and the ROLLBACK behind it would be skipped. A text that first rolls back to a
  // savepoint and then reads would read as whoever began the transaction.
  if (status === 'E') return kind === 'several' && others ? 'changed' : 'plain';
  // inside a transaction the server refuses what it truly cannot run there; the rest must not slip past the context
  if (needsNoContext(kind) && !(kind === 'outside' && status === 'T')) return 'plain';
  if (status === 'T' && transaction.sent !== undefined) {
    if (others) return 'changed';
    return transaction.stale ? 'prefix' : 'plain';
  }
  return identity === undefined ? 'plain' : 'prefix';
}
