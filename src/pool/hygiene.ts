import pg from 'pg';
import { ContextScope } from '../context/scope.ts';
import type { TenantClient } from './client.ts';
import { TenantQuery } from './query.ts';

const cleaning = new ContextScope({ kind: 'system', reason: 'clean a connection before it is used again' });

/** Runs a statement of the pool itself: without context, never refused. */
export function runInternally(client: TenantClient, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: Error | null): void => (error === null ? resolve() : reject(error));
    client.enqueue(new TenantQuery(client.settings.texts.entry(text), { text }, cleaning, settle));
  });
}

/**
 * Makes a connection that was given back fit for another tenant: an open transaction is rolled back, and what a
 * session leaves behind (settings, temporary tables, held cursors, listeners, advisory locks) is discarded.
 *
 * @param restore what has to be set up again after that, as on a new connection
 */
export async function cleanConnection(client: TenantClient, restore?: () => unknown): Promise<void> {
  endOpenCursor(client);
  // whatever was queued without await has to end first: only then is the status known
  if (!client.readyForQuery || client._queryQueue.length > 0) await runInternally(client, 'select');
  if (client._txStatus !== 'I') await runInternally(client, 'rollback');
  if (client.leftover === undefined) return;
  await runInternally(client, 'discard all');
  client.leftover = undefined;
  await restore?.();
}

/**
 * A cursor that was not read to its end holds the connection until a Sync ends its implicit transaction.
 * Of a COPY that is still under way nobody knows the end: such a connection cannot be saved.
 */
function endOpenCursor(client: TenantClient): void {
  const active = client._activeQuery;
  if (!active || active instanceof TenantQuery || active instanceof pg.Query) return;
  const cursor = (active as { cursor?: CursorState }).cursor ?? (active as CursorState);
  if (cursor.state === undefined) throw new Error('A client was released in the middle of a COPY');
  if (cursor.state === 'done' || cursor.state === 'error') return; // it has sent its own Sync
  cursor.state = 'done';
  client.connection.sync();
}

interface CursorState {
  state?: string;
}
