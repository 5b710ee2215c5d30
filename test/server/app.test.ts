import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TenantryError } from '../../src/errors.ts';
import { createPool, createTenantry, seedTestUser, type TenantPool, type Tenantry } from '../../src/index.ts';
import { createApp, listen } from '../../src/server/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const token = 'a-token-for-tests-0123456789';

describe('D8: the HTTP application', () => {
  let db: TestDatabase;
  let pool: TenantPool;
  let t: Tenantry;
  let ann: Awaited<ReturnType<typeof seedTestUser>>;
  let bob: Awaited<ReturnType<typeof seedTestUser>>;
  let ready: () => Promise<void> = async () => {};
  const errors: unknown[] = [];
  let app: ReturnType<typeof createApp>;

  beforeAll(async () => {
    db = await createTestDatabase();
    pool = createPool({ connectionString: db.appUrl, max: 4 });
    t = createTenantry({ pool });
    ann = await seedTestUser(t.kernel, { email: 'ann@example.com' });
    bob = await seedTestUser(t.kernel, { email: 'bob@example.com' });
    app = createApp({
      token,
      pool,
      verify: (claim) => t.members.verify(claim),
      ready: () => ready(),
      onError: (error) => errors.push(error),
    });
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
  });

  const ping = (headers: Record<string, string>) => app.request('/_int/tenancy/ping', { headers });
  const as = (user: { tenantId: string; userId: string }) => ({
    authorization: `Bearer ${token}`,
    'x-tenant-id': user.tenantId,
    'x-user-id': user.userId,
  });

  it('answers what current_tenant() returns for the caller', async () => {
    for (const user of [ann, bob]) {
      const response = await ping(as(user));
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ tenant_id: user.tenantId, user_id: user.userId });
    }
  });

  it('refuses a body that is too large as the fault of the caller', async () => {
    const response = await app.request('/_int/tenancy/ping', { method: 'POST', body: 'x'.repeat(1_100_000) });
    expect([response.status, errors.length]).toEqual([400, 0]);
  });

  it('D5: mixes up no two of 200 requests at a time over four connections', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const user = i % 2 === 0 ? ann : bob;
        return [user.tenantId, ((await (await ping(as(user))).json()) as { tenant_id: string }).tenant_id];
      }),
    );
    for (const [asked, got] of answers) expect(got).toBe(asked);
  });

  it('refuses a claim that is not the caller’s, and does not tell whether the organization exists', async () => {
    const foreign = await ping(as({ tenantId: bob.tenantId, userId: ann.userId }));
    const unknown = await ping(as({ tenantId: randomUUID(), userId: ann.userId }));
    expect([foreign.status, unknown.status]).toEqual([403, 403]);
    const [a, b] = [await foreign.json(), await unknown.json()];
    expect(a).toEqual(b);
    expect(a).toMatchObject({
      code: 'TNT_NOT_A_MEMBER',
      message: expect.any(String),
      details: null,
      hint: expect.any(String),
    });
  });

  it.each([
    ['no token', {}],
    ['a wrong token', { authorization: 'Bearer wrong' }],
    ['the token in another scheme', { authorization: `Basic ${token}` }],
    ['the token and more', { authorization: `Bearer ${token}x` }],
  ])('refuses %s', async (_, headers) => {
    const response = await ping({ ...as(ann), authorization: '', ...headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toContain('Bearer');
    expect(await response.json()).toMatchObject({ code: 'TNT_UNAUTHENTICATED' });
  });

  it('names a header that is missing, and takes SQL in one for what it is', async () => {
    const { 'x-user-id': _, ...rest } = as(ann);
    const response = await ping(rest);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: 'TNT_INPUT_INVALID',
      message: expect.stringContaining('x-user-id'),
    });
    expect((await ping({ ...as(ann), 'x-tenant-id': "' or true --" })).status).toBe(403);
  });

  it('answers health, readiness with the reason, and unknown routes', async () => {
    expect(await (await app.request('/healthz')).json()).toEqual({ status: 'ok' });
    expect((await app.request('/readyz')).status).toBe(200);
    ready = () => Promise.reject(new TenantryError('TNT_SCHEMA_OUTDATED', 'x'));
    const unready = await app.request('/readyz');
    expect(unready.status).toBe(503);
    expect(await unready.json()).toEqual({ status: 'unready', code: 'TNT_SCHEMA_OUTDATED' });
    ready = async () => {};
    expect((await app.request('/nothing')).status).toBe(404);
  });

  it('says nothing of what went wrong inside', async () => {
    const broken = createApp({
      token,
      pool,
      ready,
      verify: () => Promise.reject(new Error('secret detail')),
      onError: (error) => errors.push(error),
    });
    const response = await broken.request('/_int/tenancy/ping', { headers: as(ann) });
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret detail');
    expect(String(errors.at(-1))).toContain('secret detail');
  });

  it('refuses a token that is too short, and a port in use', async () => {
    expect(() => createApp({ token: 'short', pool, ready, verify: async () => {} })).toThrow(
      expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }),
    );
    const server = await listen(app, 0, '127.0.0.1');
    const { port } = server.address() as { port: number };
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    await expect(listen(app, port, '127.0.0.1')).rejects.toMatchObject({ code: 'TNT_PORT_IN_USE' });
    await new Promise((done) => server.close(done));
  });
});
