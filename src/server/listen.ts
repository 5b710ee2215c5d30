import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { TenantryError } from '../errors.ts';

/** Serves an application on a port of this machine. @throws TNT_PORT_IN_USE, TNT_CONFIG_INVALID */
export async function listen(app: Pick<Hono, 'fetch'>, port: number, host: string): Promise<Server> {
  const listener = getRequestListener(app.fetch);
  const server = createServer((request, response) => {
    listener(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      fail(
        cause.code === 'EADDRINUSE'
          ? new TenantryError('TNT_PORT_IN_USE', `Port ${port} on ${host} is in use.`, {
              hint: 'Choose another with --port, or 0 for a free one.',
            })
          : new TenantryError(
              'TNT_CONFIG_INVALID',
              `host, port: cannot listen on ${host}:${port} (${cause.code ?? 'unknown reason'}).`,
              { cause },
            ),
      );
    });
    server.listen(port, host, () => done());
  });
  return server;
}
