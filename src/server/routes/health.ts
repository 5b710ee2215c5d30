import { Hono } from 'hono';
import { TenantryError } from '../../errors.ts';

/** `/healthz`: the process answers. `/readyz`: it can serve, or 503 with the reason's code. */
export function healthRoutes(ready: () => Promise<void>): Hono {
  const app = new Hono();
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    try {
      await ready();
      return c.json({ status: 'ready' });
    } catch (error) {
      const code = error instanceof TenantryError ? error.code : 'TNT_SERVER_UNREACHABLE';
      return c.json({ status: 'unready', code }, 503);
    }
  });
  return app;
}
