import type { ContextScope } from '../context/scope.ts';
import type { TenantClient } from './client.ts';
import { decide } from './decide.ts';
import type { Submission } from './pg-internals.ts';
import { contextChanged } from './refusals.ts';
import type { Submittable } from './submittable.ts';

/** An entry of the queue that is neither the caller's nor answers rows. */
function step(submit: Submission['submit'], done: () => void, failed: (error: Error) => void): Submission {
  const nothing = (): void => undefined;
  return Object.assign(
    { submit, handleReadyForQuery: done, handleError: failed },
    {
      handleCommandComplete: nothing,
      handleRowDescription: nothing,
      handleDataRow: nothing,
      handleEmptyQuery: nothing,
    },
  );
}

/**
 * COPY reads and writes the socket itself and ignores a Sync: nothing can travel with it. So the context goes before
 * it in a round trip of its own, in a transaction that ends behind it. Success is told after that commit.
 *
 * The entries are: BEGIN and the context · COPY · COMMIT, which rolls back by itself when COPY failed.
 */
export function bracketCopy(client: TenantClient, query: Submittable, scope: ContextScope): void {
  const submit = query.submit.bind(query);
  const ready = query.handleReadyForQuery.bind(query);
  let failure: Error | undefined;
  let opened = false;
  let sent = false;
  let copied = false;

  const commit = step(
    (connection) => connection.query('commit'),
    () => {
      if (copied) ready(client.connection);
    },
    (error) => query.handleError(error, client.connection),
  );
  const closeBehind = (): void => {
    if (opened) client._queryQueue.splice(client._queryQueue.indexOf(query) + 1, 0, commit);
  };
  const open = step(
    (connection) => {
      const status = client.statusAtSubmit;
      const decision = decide(status, 'copy', scope.identity, client.transaction);
      if (decision === 'changed') {
        failure = contextChanged();
        return failure;
      }
      if (decision === 'plain') {
        connection.sync();
        return null;
      }
      opened = status === 'I';
      connection.query(`${opened ? 'begin; ' : ''}${client.settings.prelude(scope).simple(scope)}`);
      sent = true;
      client.contextSent(scope);
      return null;
    },
    () => {
      if (sent) client.contextSent(scope); // its BEGIN made it look stale
      closeBehind();
    },
    (error) => {
      failure ??= error;
      closeBehind();
    },
  );

  query.submit = (connection) => failure ?? submit(connection);
  query.handleReadyForQuery = (connection) => {
    copied = true;
    if (!opened) ready(connection);
  };
  client._queryQueue.push(open);
}
