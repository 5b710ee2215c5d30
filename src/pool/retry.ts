/** What to do before a statement that did not run is sent once more. */
export type Retry =
  /** the context statement is gone (DISCARD ALL, DEALLOCATE ALL) */
  | 'context'
  /** the prepared statement is gone, or its result changed its type */
  | 'statement'
  /** it cannot run behind a context: VACUUM and the like */
  | 'outside';

interface ServerError {
  readonly code?: string;
  readonly routine?: string;
  readonly phase?: string;
  /** Present when it was raised inside a function: the statement itself is an ordinary one. */
  readonly where?: string;
}

/**
 * Whether an error says that nothing has run and a second try can succeed. Only for statements that were alone in
 * their transaction.
 */
export function retryAfter(error: Error, query: { prefixed: boolean; named: boolean }): Retry | undefined {
  const { code, routine, phase, where } = error as ServerError;
  if (code === '26000') return phase === 'context' ? 'context' : query.named ? 'statement' : undefined;
  if (code === '0A000' && routine === 'RevalidateCachedQuery') return query.named ? 'statement' : undefined;
  if (code === '25001' && routine === 'PreventInTransactionBlock' && where === undefined)
    return query.prefixed ? 'outside' : undefined;
  return undefined;
}
