import { describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { keysFixture, newCustomer, refusalOf } from './fixture.ts';

const f = keysFixture();

describe('B4 C5 an API key', () => {
  it('is made, found, and says whose it is', async () => {
    const a = await newCustomer(f);
    const { key, apiKey } = await a.asAdmin(() =>
      f.t.keys.create({ name: 'server', namespaceId: a.namespaceId, permissions: ['read', 'write'] }),
    );
    expect(key).toMatch(/^sk_live_[0-9A-Za-z]{61}$/);
    expect(apiKey).toMatchObject({ status: 'active', environment: 'production', namespaceId: a.namespaceId });
    const verified = await f.t.keys.verify(key);
    expect(verified).toMatchObject({
      keyId: apiKey.id,
      tenantId: a.tenantId,
      namespaceId: a.namespaceId,
      permissions: ['read', 'write'],
      context: { tenantId: a.tenantId, namespaceId: a.namespaceId, apiKeyId: apiKey.id },
    });
    const rows = await withTenant(verified.context, () => f.pool.query('select tenantry.current_tenant() as t, tenantry.caller_principals() as p'));
    expect(rows.rows).toEqual([{ t: a.tenantId, p: [apiKey.id] }]);
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    await a.asAdmin(() => f.t.keys.restore(apiKey.id));
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
  });
});
