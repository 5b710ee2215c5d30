import { beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { admit } from '../../src/keys/admit.ts';
import { keyEntry } from '../../src/keys/entry.ts';
import type { ApiKey, KeyCreate } from '../../src/keys/index.ts';
import { createKeyFinder } from '../../src/keys/key-finder.ts';
import { createMemoryRateLimiter } from '../../src/metering/rate/memory.ts';
import { type Customer, eventually, keysFixture, newCustomer, pepper, refusalOf, unique } from './fixture.ts';

const f = keysFixture({ lastUsedEveryMs: 3_600_000 });
const hour = 3_600_000;

describe('B4 C5 an API key', () => {
  let a: Customer;
  let b: Customer;
  beforeAll(async () => {
    [a, b] = [await newCustomer(f), await newCustomer(f)];
  });
  const make = (input: Partial<KeyCreate> = {}, of = a) =>
    of.asAdmin(() => f.t.keys.create({ name: unique('key'), ...input }));
  const events = async (keyId: string): Promise<string[]> =>
    (
      await f.db.query<{ topic: string }>(
        `select topic from tenantry.outbox where payload ->> 'keyId' = $1 order by number`,
        [keyId],
      )
    ).map(({ topic }) => topic);
  const audited = async (keyId: string): Promise<string[]> =>
    (
      await f.db.query<{ action: string }>('select action from tenantry.audit_log where resource_id = $1 order by at', [
        keyId,
      ])
    ).map(({ action }) => action);

  it('B8 resolves to namespace, organization, principal and context in one call', async () => {
    const { key, apiKey } = await make({
      namespaceId: a.namespaceId,
      permissions: ['read', 'write'],
      limits: { memories: null },
    });
    expect(key).toMatch(/^sk_live_[0-9A-Za-z]{61}$/);
    expect(apiKey).toMatchObject({
      tenantId: a.tenantId,
      status: 'active',
      environment: 'production',
      namespaceId: a.namespaceId,
      createdBy: a.adminId,
      limits: { memories: null },
      secrets: [{ hint: key.slice(0, 20), expiresAt: null, createdAt: expect.any(Date) }],
    });
    expect(await f.t.keys.verify(key)).toEqual({
      keyId: apiKey.id,
      principalId: apiKey.id,
      tenantId: a.tenantId,
      namespaceId: a.namespaceId,
      environment: 'production',
      kind: 'secret',
      permissions: ['read', 'write'],
      limits: { memories: null },
      rateLimit: undefined,
      context: { tenantId: a.tenantId, namespaceId: a.namespaceId, apiKeyId: apiKey.id },
    });
    const [row] = await f.t.keys.run(key, {}, () =>
      f.t.kernel.query(
        `select tenantry.current_tenant() as t, tenantry.current_namespace() as n, tenantry.caller_principals() as p, tenantry.current_principal_id() as who`,
      ),
    );
    expect(row).toEqual({ t: a.tenantId, n: a.namespaceId, p: [apiKey.id], who: apiKey.id });
    expect(await events(apiKey.id)).toEqual(['key.created']);
    expect(await audited(apiKey.id)).toEqual(['key.created']);
  });

  it('B1 has the environment of its namespace, and its prefix says so', async () => {
    const staging = await a.asAdmin(() => f.t.namespaces.create({ name: unique('staging'), environment: 'staging' }));
    const { key, apiKey } = await make({ namespaceId: staging.id, environment: 'production' });
    expect([key.slice(0, 8), apiKey.environment]).toEqual(['sk_test_', 'staging']);
    expect((await make({ environment: 'development' })).key).toMatch(/^sk_test_/);
    expect((await make()).key).toMatch(/^sk_live_/);
    expect((await make({ kind: 'widget', allowedOrigins: ['https://shop.example.com'] })).key).toMatch(/^pk_widget_/);
  });

  it('is refused while its namespace is switched off', async () => {
    const namespace = await a.asAdmin(() => f.t.namespaces.create({ name: unique('n'), environment: 'production' }));
    const { key } = await make({ namespaceId: namespace.id });
    await f.t.keys.verify(key);
    await a.asAdmin(() => f.t.namespaces.update(namespace.id, { active: false }));
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE namespace');
    await a.asAdmin(() => f.t.namespaces.update(namespace.id, { active: true }));
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'accepted');
  });

  it('B2 is refused while its organization does not allow its namespace', async () => {
    const own = await newCustomer(f);
    const { key } = await make({ namespaceId: own.namespaceId }, own);
    const { key: ofAll } = await make({}, own);
    const other = await own.asAdmin(() => f.t.namespaces.create({ name: unique('n'), environment: 'production' }));
    await f.t.keys.verify(key);
    const allow = (allowedNamespaceIds: string[] | 'all') =>
      own.asAdmin(() => f.t.namespaces.updateSettings({ defaultNamespaceId: other.id, allowedNamespaceIds }));
    await allow([other.id]);
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE namespace');
    expect(await refusalOf(f.t.keys.verify(ofAll))).toBe('accepted');
    await allow([other.id, own.namespaceId]);
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'accepted');
    await allow([other.id]);
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE namespace');
    await allow('all');
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'accepted');
  });

  it('follows the key of its organization in host tables', async () => {
    const own = await newCustomer(f);
    const { key } = await make({}, own);
    expect((await f.t.keys.verify(key)).context.tenantKey).toBeUndefined();
    await f.db.query('update tenantry.organizations set key = $2 where id = $1', [
      own.tenantId,
      `account-${own.tenantId}`,
    ]);
    await eventually(async () => (await f.t.keys.verify(key)).context.tenantKey === `account-${own.tenantId}`);
    const [row] = await f.t.keys.run(key, {}, () => f.t.kernel.query('select tenantry.current_tenant_key() as k'));
    expect(row).toEqual({ k: `account-${own.tenantId}` });
  });

  it('rotates with the overlap that is chosen, and stays the same key', async () => {
    const { key, apiKey } = await make({ permissions: ['read', 'write'] });
    const rotated = await a.asAdmin(() => f.t.keys.rotate(apiKey.id, { overlapMs: 2 * hour }));
    expect(rotated?.apiKey.secrets).toHaveLength(2);
    const [fresh, old] = rotated!.apiKey.secrets;
    expect([fresh?.expiresAt, rotated?.key.startsWith(fresh!.hint)]).toEqual([null, true]);
    expect(Math.abs(old!.expiresAt!.getTime() - Date.now() - 2 * hour)).toBeLessThan(60_000);
    for (const text of [key, rotated!.key]) expect((await f.t.keys.verify(text)).keyId).toBe(apiKey.id);
    const again = await a.asAdmin(() => f.t.keys.rotate(apiKey.id, { overlapMs: 0 }));
    for (const text of [key, rotated!.key])
      expect(await refusalOf(f.t.keys.verify(text))).toBe('TNT_KEY_INACTIVE expired');
    expect((await f.t.keys.verify(again!.key)).permissions).toEqual(['read', 'write']);
    // what ended a month ago goes with the next rotation
    await f.db.query(
      `update tenantry.api_key_secrets set expires_at = now() - interval '31 days' where key_id = $1 and expires_at is not null`,
      [apiKey.id],
    );
    expect((await a.asAdmin(() => f.t.keys.rotate(apiKey.id)))?.apiKey.secrets).toHaveLength(2);
    expect(await events(apiKey.id)).toEqual(['key.created', 'key.rotated', 'key.rotated', 'key.rotated']);
    const ten = await Promise.all(
      Array.from({ length: 5 }, () => a.asAdmin(() => f.t.keys.rotate(apiKey.id, { overlapMs: hour }))),
    );
    for (const one of ten) expect(await refusalOf(f.t.keys.verify(one!.key))).toBe('accepted');
  });

  it('ends when its deadline comes, in the cache too', async () => {
    const { key, apiKey } = await make({ expiresAt: new Date(Date.now() + 400) });
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE expired');
    expect((await a.asAdmin(() => f.t.keys.get(apiKey.id)))?.status).toBe('expired');
    expect(await refusalOf(a.asAdmin(() => f.t.keys.rotate(apiKey.id)))).toBe('TNT_CONFLICT');
    const other = await make();
    await f.t.keys.verify(other.key);
    await a.asAdmin(() => f.t.keys.expire(other.apiKey.id));
    expect(await refusalOf(f.t.keys.verify(other.key))).toBe('TNT_KEY_INACTIVE expired');
    await a.asAdmin(() => f.t.keys.expire(other.apiKey.id, new Date(Date.now() + hour)));
    expect(await refusalOf(f.t.keys.verify(other.key))).toBe('accepted');
  });

  it('carries its deadline into the cache, and so does the text that a rotation replaced', async () => {
    const { key, apiKey } = await make();
    const rotated = await a.asAdmin(() => f.t.keys.rotate(apiKey.id, { overlapMs: 2 * hour }));
    const ending = await make({ expiresAt: new Date(Date.now() + 2 * hour) });
    const find = createKeyFinder(f.t.kernel);
    const entryOf = async (text: string) => {
      const lookup = text.slice(-61, -49);
      return keyEntry(String(await find(lookup)), performance.now(), 4_000);
    };
    const at = (ms: number): number => performance.now() + ms;
    for (const text of [key, ending.key]) {
      const entry = await entryOf(text);
      admit(entry, {}, at(hour));
      expect(() => admit(entry, {}, at(2 * hour + 60_000))).toThrow(
        expect.objectContaining({ code: 'TNT_KEY_INACTIVE', details: { reason: 'expired' } }),
      );
    }
    admit(await entryOf(rotated!.key), {}, at(1_000 * hour));
  });

  it('is switched off and on, revoked, and restored while its time lasts', async () => {
    const { key, apiKey } = await make();
    await f.t.keys.verify(key);
    await a.asAdmin(() => f.t.keys.update(apiKey.id, { enabled: false }));
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE disabled');
    await a.asAdmin(() => f.t.keys.update(apiKey.id, { enabled: true }));
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
    const revoked = await a.asAdmin(() => f.t.keys.revoke(apiKey.id, { reason: 'lost laptop' }));
    expect(revoked).toMatchObject({
      status: 'revoked',
      revokedReason: 'lost laptop',
      restorableUntil: expect.any(Date),
    });
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    expect(await refusalOf(a.asAdmin(() => f.t.keys.rotate(apiKey.id)))).toBe('TNT_CONFLICT');
    expect((await a.asAdmin(() => f.t.keys.restore(apiKey.id)))?.status).toBe('active');
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
    expect((await a.asAdmin(() => f.t.keys.restore(apiKey.id)))?.status).toBe('active');
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id, { restoreWithinMs: 1 }));
    await eventually(async () => (await refusalOf(a.asAdmin(() => f.t.keys.restore(apiKey.id)))) === 'TNT_CONFLICT');
    expect((await a.asAdmin(() => f.t.keys.revoke(apiKey.id, { restoreWithinMs: 0 })))?.restorableUntil).toBeNull();
    expect(await refusalOf(a.asAdmin(() => f.t.keys.restore(apiKey.id)))).toBe('TNT_CONFLICT');
    expect(await events(apiKey.id)).toEqual([
      'key.created',
      'key.disabled',
      'key.enabled',
      'key.revoked',
      'key.restored',
      'key.revoked',
    ]);
    expect(await audited(apiKey.id)).toEqual(await events(apiKey.id));
  });

  it('lists, pages and changes', async () => {
    const own = await newCustomer(f);
    const made: ApiKey[] = [];
    for (let i = 0; i < 5; i += 1) made.push((await make(i < 2 ? { namespaceId: own.namespaceId } : {}, own)).apiKey);
    const ids = made.map(({ id }) => id).reverse();
    await own.asAdmin(async () => {
      const first = await f.t.keys.list({ limit: 3 });
      expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 3));
      const second = await f.t.keys.list({ limit: 3, cursor: first.nextCursor! });
      expect([second.items.map(({ id }) => id), second.nextCursor]).toEqual([ids.slice(3), null]);
      expect((await f.t.keys.list({ namespaceId: own.namespaceId })).items).toHaveLength(2);
      expect((await f.t.keys.list()).items).toHaveLength(5);
      const changed = await f.t.keys.update(ids[0]!, {
        name: 'other',
        permissions: ['read', 'memories.search'],
        allowedOrigins: ['HTTPS://shop.example.com:443'],
        allowedAddresses: ['10.1.2.3/8', '2001:db8::1'],
        limits: { conversations: { limit: 50, hard: false } },
        rateLimit: { limit: 10, periodMs: 1000 },
        expiresAt: new Date(Date.now() + hour),
      });
      expect(changed).toMatchObject({
        name: 'other',
        permissions: ['read', 'memories.search'],
        allowedOrigins: ['https://shop.example.com'],
        allowedAddresses: ['10.0.0.0/8', '2001:db8::1/128'],
        limits: { conversations: { limit: 50, hard: false } },
        rateLimit: { limit: 10, periodMs: 1000 },
      });
      expect((await f.t.keys.update(ids[0]!, { rateLimit: null }))?.rateLimit).toBeNull();
      expect((await f.t.keys.update(ids[0]!, {}))?.name).toBe('other');
      for (const nobody of ['x', made[0]!.id.replace(/^.{8}/, '00000000')]) {
        expect(await f.t.keys.get(nobody)).toBeNull();
        expect(await f.t.keys.update(nobody, { name: 'x' })).toBeNull();
        expect(await f.t.keys.rotate(nobody)).toBeNull();
        expect(await f.t.keys.revoke(nobody)).toBeNull();
        expect(await f.t.keys.restore(nobody)).toBeNull();
        expect(await f.t.keys.acl(nobody)).toBeNull();
        expect(await refusalOf(f.t.keys.setAcl(nobody, {}))).toBe('TNT_NOT_FOUND');
      }
    });
  });

  it.each([
    ['no name', { name: '' }, 'name'],
    ['a permission of another form', { permissions: ['Read All'] }, 'permissions.0'],
    ['an origin with a path', { allowedOrigins: ['https://a.example.com/x'] }, 'allowedOrigins.0'],
    ['an address that is none', { allowedAddresses: ['10.0.0.0/33'] }, 'allowedAddresses.0'],
    ['a negative limit', { limits: { memories: -1 } }, 'limits.memories'],
    ['a rate of nothing', { rateLimit: { limit: 0, periodMs: 1000 } }, 'rateLimit.limit'],
    ['a widget key for everywhere', { kind: 'widget' }, 'kind'],
    [
      'a widget key that administers',
      { kind: 'widget', allowedOrigins: ['https://a.example.com'], permissions: ['keys.write'] },
      'kind',
    ],
    [
      'a widget key that may all',
      { kind: 'widget', allowedOrigins: ['https://a.example.com'], permissions: ['*'] },
      'kind',
    ],
    ['a field of another thing', { color: 'red' }, 'input'],
  ])('is refused with %s, naming the field', async (_, input, field) => {
    const error = await make(input as KeyCreate).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'TNT_INPUT_INVALID', message: expect.stringContaining(field) });
  });

  it('belongs to no namespace of another organization', async () => {
    expect(await refusalOf(make({ namespaceId: b.namespaceId }))).toBe('TNT_NOT_FOUND');
  });

  it('B2 is seen and managed by whom its ACL names', async () => {
    const member = await a.member();
    const { apiKey } = await make();
    const asMember = <T>(fn: () => Promise<T>): Promise<T> => withTenant({ tenantId: a.tenantId, userId: member }, fn);
    expect(await asMember(() => f.t.keys.get(apiKey.id))).toBeNull();
    await a.asAdmin(() => f.t.keys.setAcl(apiKey.id, { [member]: { read: true } }));
    expect((await asMember(() => f.t.keys.get(apiKey.id)))?.id).toBe(apiKey.id);
    expect((await asMember(() => f.t.keys.list())).items.map(({ id }) => id)).toEqual([apiKey.id]);
    expect(await refusalOf(asMember(() => f.t.keys.revoke(apiKey.id)))).toBe('TNT_FORBIDDEN');
    expect(await refusalOf(asMember(() => f.t.keys.rotate(apiKey.id)))).toBe('TNT_FORBIDDEN');
    await a.asAdmin(() => f.t.keys.setAcl(apiKey.id, { [member]: { read: true, write: true } }));
    expect(await a.asAdmin(() => f.t.keys.acl(apiKey.id))).toEqual({ [member]: { read: true, write: true } });
    const rotated = await asMember(() => f.t.keys.rotate(apiKey.id));
    expect(await refusalOf(f.t.keys.verify(rotated!.key))).toBe('accepted');
    expect((await asMember(() => f.t.keys.revoke(apiKey.id)))?.status).toBe('revoked');
    await a.asAdmin(() => f.t.keys.setAcl(apiKey.id, { [member]: { read: true } }));
    expect(await refusalOf(asMember(() => f.t.keys.restore(apiKey.id)))).toBe('TNT_FORBIDDEN');
    await a.asAdmin(() => f.t.keys.setAcl(apiKey.id, {}));
    expect(await asMember(() => f.t.keys.get(apiKey.id))).toBeNull();
    expect(await refusalOf(a.asAdmin(() => f.t.keys.setAcl(apiKey.id, { [b.adminId]: { read: true } })))).toBe(
      'TNT_NOT_FOUND',
    );
  });

  it('is written down as used, in batches and never back', async () => {
    const { key, apiKey } = await make();
    const other = f.another({ lastUsedEveryMs: 1 });
    const lastUsed = async (): Promise<Date | null> => (await a.asAdmin(() => f.t.keys.get(apiKey.id)))!.lastUsedAt;
    expect(await lastUsed()).toBeNull();
    for (let i = 0; i < 50; i += 1) await other.keys.verify(key);
    await eventually(async () => (await lastUsed()) !== null);
    const at = (await lastUsed())!;
    expect(Math.abs(Date.now() - at.getTime())).toBeLessThan(120_000);
    expect(at.getSeconds()).toBe(0);
    await f.db.query(`update tenantry.api_key_uses set last_used_at = now() + interval '1 day' where key_id = $1`, [
      apiKey.id,
    ]);
    await f.t.keys.verify(key);
    await f.t.keys.close();
    expect((await lastUsed())!.getTime()).toBeGreaterThan(Date.now());
  });

  it('verifies under each pepper that is at hand, and is hashed anew under the first', async () => {
    const { key, apiKey } = await make();
    const version = async (): Promise<number> =>
      (
        await f.db.query<{ v: number }>('select hash_version as v from tenantry.api_key_secrets where key_id = $1', [
          apiKey.id,
        ])
      )[0]!.v;
    expect(await version()).toBe(1);
    const peppers = [
      { version: 2, secret: `new ${pepper}` },
      { version: 1, secret: pepper },
    ];
    const both = f.another({ peppers });
    for (let i = 0; i < 3; i += 1) expect((await both.keys.verify(key)).keyId).toBe(apiKey.id);
    await both.close();
    expect(await version()).toBe(2);
    const onlyNew = f.another({ peppers: peppers.slice(0, 1) });
    expect((await onlyNew.keys.verify(key)).keyId).toBe(apiKey.id);
    const onlyOld = f.another({ peppers: peppers.slice(1) });
    expect(await refusalOf(onlyOld.keys.verify(key))).toBe('TNT_KEY_INVALID');
  });

  it('takes its own rate limit, and says what is left', async () => {
    const { key } = await make({ rateLimit: { limit: 2, periodMs: 60_000 } });
    const left: number[] = [];
    const t = f.another({ limiter: createMemoryRateLimiter() });
    const use = { onRate: ({ remaining }: { remaining: number }) => left.push(remaining) };
    for (let i = 0; i < 2; i += 1) await t.keys.verify(key, use);
    expect(await refusalOf(t.keys.verify(key, use))).toBe('TNT_RATE_LIMITED');
    expect(left).toEqual([1, 0, 0]);
    // another process' memory counts for itself
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
  });
});

describe('what t.keys is given', () => {
  it.each([
    ['no pepper', { peppers: '' }],
    ['a short one', { peppers: 'short' }],
  ])('%s: nothing can be verified', async (_, options) => {
    expect(await refusalOf(f.another(options).keys.verify('sk_live_x'))).toBe('TNT_CONFIG_INVALID');
  });

  it('an age of the cache above five seconds is refused', () => {
    expect(() => f.another({ cache: { maxAgeMs: 5_001 } })).toThrow(
      expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }),
    );
  });

  it('no listening connection: the age of the cache alone bounds a revocation', async () => {
    const a = await newCustomer(f);
    const { key, apiKey } = await a.asAdmin(() => f.t.keys.create({ name: 'server' }));
    const deaf = f.another({ listen: false, cache: { maxAgeMs: 300 } });
    await deaf.keys.verify(key);
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    expect(await refusalOf(deaf.keys.verify(key))).toBe('accepted');
    await eventually(async () => (await refusalOf(deaf.keys.verify(key))) === 'TNT_KEY_INACTIVE revoked');
  });

  it('work in the background that fails is told, and fails no request', async () => {
    const a = await newCustomer(f);
    const { key } = await a.asAdmin(() => f.t.keys.create({ name: 'server' }));
    const errors: unknown[] = [];
    const t = f.another({ onError: (error) => errors.push(error), cache: false });
    const silent = f.another({ cache: false });
    for (const one of [t, silent]) await one.keys.verify(key);
    await f.db.query(
      'revoke execute on function tenantry.touch_api_keys(uuid[], uuid[], double precision[]) from tenantry_app',
    );
    await Promise.all([t.close(), silent.close()]);
    await f.db.query(
      'grant execute on function tenantry.touch_api_keys(uuid[], uuid[], double precision[]) to tenantry_app',
    );
    expect(errors).toHaveLength(1);
  });
});
