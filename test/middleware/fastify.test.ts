import type { Readable } from 'node:stream';
import fastify, { type FastifyRequest } from 'fastify';
import { expect, it } from 'vitest';
import { tenantContext, tenantryErrors } from '../../src/adapters/fastify.ts';
import { currentContext } from '../../src/context/index.ts';
import { describeMiddleware } from './describe-middleware.ts';

describeMiddleware({
  name: 'Fastify',
  async start(handlers, { identify, ...options }) {
    const app = fastify();
    app.setErrorHandler(tenantryErrors());
    await app.register(
      tenantContext({
        ...options,
        identify: (request: FastifyRequest) => identify((name) => request.headers[name] as string | undefined),
      }),
    );
    app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
    app.get('/notes', () => handlers.notes());
    app.get('/timer', () => handlers.timer());
    app.get('/refused', () => handlers.refused());
    app.get('/broken', () => handlers.broken());
    app.post('/json', () => handlers.piece());
    app.post('/events', (request, reply) => {
      const seen: Promise<string[]>[] = [];
      const body = request.body as Readable;
      body.on('data', () => seen.push(handlers.piece()));
      body.on('end', () => {
        Promise.all(seen).then(
          (rows) => reply.send(rows),
          (error: Error) => reply.send(error),
        );
      });
    });
    const base = await app.listen({ port: 0, host: '127.0.0.1' });
    return {
      fetch: (path, init) => fetch(`${base}${path}`, init),
      async close() {
        app.server.closeAllConnections();
        await app.close();
      },
    };
  },
});

it('Fastify goes on in the context behind a hook that was called back from elsewhere', async () => {
  const tenantId = '00000000-0000-7000-8000-00000000000a';
  const waiting: (() => void)[] = [];
  const elsewhere = setInterval(() => waiting.shift()?.(), 1);
  const app = fastify();
  await app.register(tenantContext({ identify: () => ({ tenant: tenantId }), verify: async () => ({ tenantId }) }));
  app.addHook('preParsing', (_request, _reply, payload, done) => {
    waiting.push(() => done(null, payload));
  });
  app.post('/', () => ({ seen: currentContext() }));
  const response = await app.inject({ method: 'POST', url: '/', payload: { some: 'json' } });
  expect(response.json()).toEqual({ seen: { kind: 'tenant', tenantId } });
  await app.close();
  clearInterval(elsewhere);
});
