import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Request } from 'express';
import Fastify, { type FastifyRequest } from 'fastify';
import { type Context, Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as ofExpress from '../../src/adapters/express.ts';
import * as ofFastify from '../../src/adapters/fastify.ts';
import * as ofHono from '../../src/adapters/hono.ts';
import { currentTenant } from '../../src/context/index.ts';
import { createRateLimits, type RateLimits } from '../../src/metering/rate/index.ts';
import { billingFixture, type Customer, newCustomer } from '../metering/billing/fixture.ts';

const f = billingFixture();
let a: Customer;
let b: Customer;
beforeAll(async () => {
  [a, b] = [await newCustomer(f), await newCustomer(f)];
});

type Fetch = (headers: Record<string, string>) => Promise<Response>;
const opened: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const close of opened) await close();
});

const verify = ofHono.membership;
const cost = (value: string | undefined): number => Number(value ?? 1);

const frameworks: Record<string, (limits: RateLimits) => Promise<Fetch>> = {
  async Hono(limits) {
    const app = new Hono();
    const header = (c: Context, name: string): string | undefined => c.req.header(name);
    app.use(
      ofHono.tenantContext({
        identify: (c: Context) => ({ userId: header(c, 'x-user'), tenant: header(c, 'x-tenant') }),
        verify: verify(f.t),
      }),
    );
    app.use(
      ofHono.rateLimit({
        limits,
        class: 'api',
        cost: (c: Context) => cost(header(c, 'x-cost')),
        address: () => '203.0.113.1',
      }),
    );
    app.get('/', (c) => c.text(currentTenant().tenantId));
    return async (headers) => app.request('/', { headers });
  },
  async Express(limits) {
    const app = express();
    app.use(
      ofExpress.tenantContext({
        identify: (req: Request) => ({ userId: req.get('x-user'), tenant: req.get('x-tenant') }),
        verify: verify(f.t),
      }),
    );
    app.use(
      ofExpress.rateLimit({
        limits,
        class: 'api',
        cost: (req: Request) => cost(req.get('x-cost')),
        address: (req) => req.ip,
      }),
    );
    app.get('/', (_req, res) => void res.send(currentTenant().tenantId));
    const server: Server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(async () => server.close());
    const { port } = server.address() as AddressInfo;
    return (headers) => fetch(`http://127.0.0.1:${port}/`, { headers });
  },
  async Fastify(limits) {
    const app = Fastify();
    await app.register(
      ofFastify.tenantContext({
        identify: (request: FastifyRequest) => ({
          userId: request.headers['x-user'] as string,
          tenant: request.headers['x-tenant'] as string,
        }),
        verify: verify(f.t),
      }),
    );
    await app.register(
      ofFastify.rateLimit({
        limits,
        class: 'api',
        cost: (request: FastifyRequest) => cost(request.headers['x-cost'] as string | undefined),
        address: (request) => request.ip,
      }),
    );
    app.get('/', async () => currentTenant().tenantId);
    await app.listen({ port: 0, host: '127.0.0.1' });
    opened.push(() => app.close());
    const { port } = app.server.address() as AddressInfo;
    return (headers) => fetch(`http://127.0.0.1:${port}/`, { headers });
  },
};

describe.each(Object.keys(frameworks))('C8: requests through %s', (name) => {
  it('are limited in the context that they have, with the headers of their limits', async () => {
    const limits = createRateLimits(f.t.kernel, {
      store: 'memory',
      classes: { api: { organization: { limit: 3, periodMs: 3_600_000 }, address: { limit: 100, periodMs: 60_000 } } },
    });
    const get = await frameworks[name]!(limits);
    const as = ({ tenantId, adminId }: Customer): Record<string, string> => ({
      'x-user': adminId,
      'x-tenant': tenantId,
    });

    const first = await get(as(a));
    expect([first.status, await first.text()]).toEqual([200, a.tenantId]);
    expect(first.headers.get('ratelimit-policy')).toBe('"organization";q=3;w=3600, "address";q=100;w=60');
    expect(first.headers.get('ratelimit')).toMatch(/^"organization";r=2;t=1200, "address";r=99;t=1$/);
    expect(first.headers.get('retry-after')).toBeNull();

    expect((await get({ ...as(a), 'x-cost': '2' })).status).toBe(200);
    const refused = await get(as(a));
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toMatch('application/json');
    expect(await refused.json()).toMatchObject({ code: 'TNT_RATE_LIMITED', details: { retryAfter: 1200 } });
    expect(refused.headers.get('retry-after')).toBe('1200');
    expect(refused.headers.get('ratelimit')).toMatch('"organization";r=0;');

    expect((await get(as(b))).status).toBe(200);
    // who is nobody is answered before any limit is asked
    expect((await get({ 'x-tenant': a.tenantId })).status).toBe(401);
  });
});
