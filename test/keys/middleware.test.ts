import { serve } from '@hono/node-server';
import express, { type Request } from 'express';
import fastify, { type FastifyRequest } from 'fastify';
import { type Context, Hono } from 'hono';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as expressAdapter from '../../src/adapters/express.ts';
import * as fastifyAdapter from '../../src/adapters/fastify.ts';
import * as honoAdapter from '../../src/adapters/hono.ts';
import type { KeyContextOptions } from '../../src/adapters/request-key.ts';
import { currentTenant } from '../../src/context/index.ts';
import type { KeyCreate, VerifiedKey } from '../../src/keys/index.ts';
import { newKey } from '../../src/keys/format.ts';
import { type Customer, keysFixture, newCustomer, unique } from './fixture.ts';

const f = keysFixture({ failures: false });

type Options = KeyContextOptions<object>;
interface Routes {
  /** /v1: secret keys. */
  readonly secret: Options;
  /** /widget: widget keys. */
  readonly widget: Options;
}
interface Running {
  readonly url: string;
  close(): Promise<void>;
}

/** What a route answers: who asks, as the database sees it. */
async function who(key: VerifiedKey | undefined): Promise<object> {
  const [row] = await f.t.kernel.query(
    'select tenantry.current_tenant() as tenant, tenantry.current_namespace() as namespace, tenantry.caller_principals() as principals',
  );
  return { ...row, key: key?.keyId, workspaceId: currentTenant().workspaceId };
}

const frameworks: Record<string, (routes: Routes) => Promise<Running>> = {
  async Hono({ secret, widget }) {
    const app = new Hono();
    app.use('/v1/*', honoAdapter.keyContext<Context>(secret));
    app.use('/widget/*', honoAdapter.keyContext<Context>(widget));
    for (const path of ['/v1/who', '/widget/who']) app.all(path, async (c) => c.json(await who(honoAdapter.keyOf(c))));
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
    await new Promise((done) => server.once('listening', done));
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: () => new Promise((done) => void server.close(() => done())),
    };
  },
  async Express({ secret, widget }) {
    const app = express();
    app.use('/v1', expressAdapter.keyContext<Request>(secret));
    app.use('/widget', expressAdapter.keyContext<Request>(widget));
    for (const path of ['/v1/who', '/widget/who']) {
      app.all(path, (req, res, next) => {
        who(expressAdapter.keyOf(req)).then((body) => res.json(body), next);
      });
    }
    const server = app.listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: () => new Promise((done) => void server.close(() => done())),
    };
  },
  async Fastify({ secret, widget }) {
    const app = fastify();
    for (const [prefix, options] of [
      ['/v1', secret],
      ['/widget', widget],
    ] as const) {
      await app.register(
        async (part) => {
          await part.register(fastifyAdapter.keyContext<FastifyRequest>(options));
          part.all('/who', (request) => who(fastifyAdapter.keyOf(request)));
        },
        { prefix },
      );
    }
    await app.listen({ port: 0, host: '127.0.0.1' });
    return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, close: () => app.close() };
  },
};

describe.each(Object.entries(frameworks))('B8 C9 requests with a key through %s', (_, start) => {
  let a: Customer;
  let b: Customer;
  let app: Running;
  let proxied: Running;
  beforeAll(async () => {
    [a, b] = [await newCustomer(f), await newCustomer(f)];
    const { keys, endUsers } = f.t;
    const workspaceId = '00000000-0000-7000-8000-00000000abcd';
    const secret: Options = {
      keys,
      endUsers,
      endUser: (request, key) => (key.permissions.includes('chat') ? 'customer-1' : undefined),
      authorize: (key) => (key.permissions.includes('workspace') ? { workspaceId } : undefined),
    };
    app = await start({ secret, widget: { keys, kinds: ['widget'], permission: 'chat' } });
    proxied = await start({
      secret: { keys, permission: false, trustedProxies: ['127.0.0.0/8'] },
      widget: { keys, kinds: ['widget'], permission: () => undefined, read: () => undefined },
    });
  });
  afterAll(async () => {
    await app?.close();
    await proxied?.close();
  });
  const make = (input: Partial<KeyCreate> = {}, of = a) =>
    of.asAdmin(() => f.t.keys.create({ name: unique('key'), namespaceId: of.namespaceId, ...input }));
  const ask = async (
    path: string,
    headers: Record<string, string>,
    { method = 'GET', on = app } = {},
  ): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> => {
    const response = await fetch(on.url + path, { method, headers });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  };
  const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

  it('run as the key, in its organization and namespace, whatever else they name', async () => {
    const { key, apiKey } = await make();
    const own = { tenant: a.tenantId, namespace: a.namespaceId, principals: [apiKey.id], key: apiKey.id };
    expect((await ask('/v1/who', bearer(key))).body).toEqual(own);
    expect((await ask('/v1/who', { 'x-api-key': key, 'x-tenant-id': b.tenantId })).body).toEqual(own);
    expect((await ask(`/v1/who?tenant=${b.tenantId}`, { authorization: `bearer  ${key} ` })).body).toEqual(own);
    const many = await Promise.all(
      Array.from({ length: 8 }, async (__, i) => {
        const of = i % 2 === 0 ? a : b;
        return [of.tenantId, (await ask('/v1/who', bearer((await make({}, of)).key))).body['tenant']];
      }),
    );
    for (const [expected, seen] of many) expect(seen).toBe(expected);
  });

  it('are asked for a key, and told one thing of a wrong one', async () => {
    for (const headers of [{}, { authorization: 'Basic abc' }, { authorization: 'Bearer' }, { 'x-api-key': '' }]) {
      const { status, body, headers: sent } = await ask('/v1/who', headers);
      expect([status, body['code'], sent.get('www-authenticate')]).toEqual([401, 'TNT_UNAUTHENTICATED', 'Bearer']);
    }
    const { status, body } = await ask('/v1/who', bearer(newKey('sk_live_').key));
    expect([status, body]).toEqual([
      401,
      { code: 'TNT_KEY_INVALID', message: expect.any(String), details: null, hint: expect.any(String) },
    ]);
    expect((await ask('/widget/who', {}, { on: proxied })).status).toBe(401);
  });

  it('B4 need the permission of their method', async () => {
    const keys = { read: (await make()).key, write: (await make({ permissions: ['read', 'write'] })).key };
    const asked: [string, string][] = [
      ['GET', keys.read],
      ['POST', keys.read],
      ['POST', keys.write],
      ['PATCH', keys.write],
      ['DELETE', keys.write],
    ];
    const statuses = [];
    for (const [method, key] of asked) statuses.push((await ask('/v1/who', bearer(key), { method })).status);
    expect(statuses).toEqual([200, 403, 200, 200, 403]);
    expect((await ask('/v1/who', bearer(keys.read), { method: 'DELETE', on: proxied })).status).toBe(200);
  });

  it('of a widget open widget routes alone, from its origins alone', async () => {
    const origin = 'https://shop.example.com';
    const { key, apiKey } = await make({ kind: 'widget', allowedOrigins: [origin], permissions: ['chat'] });
    expect((await ask('/widget/who', { ...bearer(key), origin })).body['key']).toBe(apiKey.id);
    const refused = [
      await ask('/v1/who', { ...bearer(key), origin }),
      await ask('/widget/who', bearer(key)),
      await ask('/widget/who', { ...bearer(key), origin: 'https://evil.example.com' }),
      await ask('/widget/who', { ...bearer((await make({ permissions: ['chat'] })).key), origin }),
    ];
    expect(refused.map(({ status, body }) => [status, (body['details'] as { reason: string }).reason])).toEqual([
      [403, 'kind'],
      [403, 'origin'],
      [403, 'origin'],
      [403, 'kind'],
    ]);
  });

  it('cannot say themselves from where they come', async () => {
    const { key } = await make({ allowedAddresses: ['192.0.2.0/24'] });
    const spoofed = { ...bearer(key), 'x-forwarded-for': '192.0.2.1' };
    expect((await ask('/v1/who', spoofed)).body).toMatchObject({
      code: 'TNT_KEY_REFUSED',
      details: { reason: 'address' },
    });
    // behind a proxy of ours the last word is the proxy's
    expect((await ask('/v1/who', spoofed, { on: proxied })).status).toBe(200);
    const behind = { ...bearer(key), 'x-forwarded-for': '192.0.2.1, 198.51.100.9' };
    expect((await ask('/v1/who', behind, { on: proxied })).status).toBe(403);
    const { key: here } = await make({ allowedAddresses: ['127.0.0.1'] });
    expect((await ask('/v1/who', bearer(here))).status).toBe(200);
  });

  it('carry the headers of the rate limit of their key', async () => {
    const { key } = await make({ rateLimit: { limit: 1, periodMs: 60_000 } });
    const first = await ask('/v1/who', bearer(key));
    expect([first.status, first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual([
      200,
      '"key";q=1;w=60',
      expect.stringMatching(/^"key";r=0;t=\d+$/),
    ]);
    const second = await ask('/v1/who', bearer(key));
    expect([second.status, second.body['code']]).toEqual([429, 'TNT_RATE_LIMITED']);
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(second.headers.get('ratelimit')).toMatch(/^"key";r=0/);
  });

  it('B5 make the end user they are for, at its first request', async () => {
    const { key, apiKey } = await make({ permissions: ['read', 'chat', 'workspace'] });
    const [one, two] = await Promise.all([ask('/v1/who', bearer(key)), ask('/v1/who', bearer(key))]);
    const principals = one.body['principals'] as string[];
    expect(principals).toHaveLength(2);
    expect(principals[0]).toBe(apiKey.id);
    expect([two.body['principals'], one.body['workspaceId']]).toEqual([
      principals,
      '00000000-0000-7000-8000-00000000abcd',
    ]);
    const rows = await f.db.query('select external_id from tenantry.end_users where tenant_id = $1 and id = $2', [
      a.tenantId,
      principals[1],
    ]);
    expect(rows).toEqual([{ external_id: 'customer-1' }]);
  });
});

describe('requests with a key', () => {
  it('come from where the application says, where it knows better', async () => {
    const a = await newCustomer(f);
    const { key } = await a.asAdmin(() => f.t.keys.create({ name: 'k', allowedAddresses: ['192.0.2.1'] }));
    const app = new Hono();
    app.use(honoAdapter.keyContext<Context>({ keys: f.t.keys, address: (c) => c.req.header('cf-connecting-ip') }));
    app.get('/', (c) => c.text('in'));
    const ask = (headers: Record<string, string>): Promise<Response> =>
      Promise.resolve(app.request('/', { headers: { authorization: `Bearer ${key}`, ...headers } }));
    expect((await ask({ 'cf-connecting-ip': '192.0.2.1' })).status).toBe(200);
    expect((await ask({})).status).toBe(403);
  });

  it('that fail for another reason reach the framework', async () => {
    const app = new Hono();
    app.use(honoAdapter.keyContext<Context>({ keys: { verify: () => Promise.reject(new Error('lost')) } }));
    app.onError((error, c) => c.text(error.message, 500));
    const response = await app.request('/', { headers: { 'x-api-key': 'k' } });
    expect([response.status, await response.text()]).toEqual([500, 'lost']);
  });
});
