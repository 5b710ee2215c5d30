import { type Context, Hono } from 'hono';
import { tenantContext, tenantryErrors } from '../../src/adapters/hono.ts';
import { describeMiddleware } from './describe-middleware.ts';

describeMiddleware({
  name: 'Hono',
  async start(handlers, { identify, ...options }) {
    const app = new Hono();
    app.use(tenantContext({ ...options, identify: (c: Context) => identify((name) => c.req.header(name)) }));
    app.onError(tenantryErrors((_error, c) => c.text('Internal Server Error', 500)));
    app.get('/notes', async (c) => c.json(await handlers.notes()));
    app.get('/timer', async (c) => c.json(await handlers.timer()));
    app.get('/refused', () => handlers.refused());
    app.get('/broken', () => handlers.broken());
    app.post('/json', async (c) => {
      await c.req.json();
      return c.json(await handlers.piece());
    });
    app.post('/events', async (c) => {
      const seen: string[][] = [];
      for await (const _chunk of c.req.raw.body ?? []) seen.push(await handlers.piece());
      return c.json(seen);
    });
    return { fetch: async (path, init) => app.request(path, init), close: async () => {} };
  },
});
