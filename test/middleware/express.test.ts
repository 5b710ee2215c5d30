import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type Request } from 'express';
import { tenantContext, tenantryErrors } from '../../src/adapters/express.ts';
import { describeMiddleware } from './describe-middleware.ts';

describeMiddleware({
  name: 'Express',
  async start(handlers, { identify, ...options }) {
    const app = express();
    app.set('env', 'test'); // its own error handler is silent then
    app.use(tenantContext({ ...options, identify: (req: Request) => identify((name) => req.get(name)) }));
    app.get('/notes', async (_req, res) => void res.json(await handlers.notes()));
    app.get('/timer', async (_req, res) => void res.json(await handlers.timer()));
    app.get('/refused', () => handlers.refused());
    app.get('/broken', () => handlers.broken());
    app.post('/json', express.json(), async (_req, res) => void res.json(await handlers.piece()));
    app.post('/events', (req, res, next) => {
      const seen: Promise<string[]>[] = [];
      req.on('data', () => seen.push(handlers.piece()));
      req.on('end', () => {
        Promise.all(seen).then((rows) => res.json(rows), next);
      });
    });
    app.use(tenantryErrors());
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      fetch: (path, init) => fetch(`${base}${path}`, init),
      async close() {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      },
    };
  },
});
