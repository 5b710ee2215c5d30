import type { TenantClient } from './client.ts';
import { cancelOnServer } from './cancel.ts';
import type { TenantQuery } from './query.ts';

/**
 * Ends a query that takes longer than its `query_timeout`, or whose `signal` is aborted.
 *
 * @returns false when it was aborted before it began: it is settled, and must not be sent
 */
export function watchQuery(client: TenantClient, query: TenantQuery): boolean {
  const { signal } = query.config;
  const timeout = query.config.query_timeout || client.connectionParameters.query_timeout;
  if (signal === undefined && !timeout) return true;
  if (signal?.aborted) {
    query.settle(abortReason(signal), true);
    return false;
  }
  const settle = query.callback;
  const timer = timeout
    ? setTimeout(() => abandon(client, query, new Error('Query read timeout')), timeout)
    : undefined;
  const onAbort = (): void => {
    abandon(client, query, abortReason(signal as AbortSignal));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  query.callback = (error, result) => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    settle(error, result);
  };
  return true;
}

export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('The query was aborted', { cause: signal.reason });
}

/** A query that has not been sent leaves the queue; one that runs takes its connection with it. */
function abandon(client: TenantClient, query: TenantQuery, error: Error): void {
  const queued = client._queryQueue.indexOf(query);
  if (queued > -1) {
    client._queryQueue.splice(queued, 1);
    query.settle(error, true);
    return;
  }
  // the server would not notice the lost socket before the statement ends
  cancelOnServer(client);
  query.settle(error, false);
  client.connection.stream.destroy();
}
