import pg from 'pg';
import type { TenantClient } from './client.ts';
import type { ConnectionInternals } from './pg-internals.ts';

const PgConnection = pg.Connection as unknown as new (config: { ssl: unknown }) => ConnectionInternals;

/**
 * Asks the server, over a connection of its own, to cancel what a client runs (PostgreSQL documentation,
 * "Canceling Requests in Progress"). Best effort: the server does not answer.
 */
export function cancelOnServer(client: TenantClient): void {
  const { processID, secretKey, host, port } = client;
  if (processID === null || secretKey === null) return;
  const connection = new PgConnection({ ssl: client.ssl });
  const send = (): void => {
    connection.cancel(processID, secretKey);
    connection.end();
  };
  connection.on('error', () => undefined);
  connection.on('connect', () => (client.ssl ? connection.requestSsl() : send()));
  connection.on('sslconnect', send);
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}
