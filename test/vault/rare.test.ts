import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createKernel } from '../../src/database/kernel.ts';
import { createPool } from '../../src/pool/index.ts';
import {
  createKeyring,
  createOAuth,
  createSyncStates,
  createVault,
  createVaultRotation,
  generateKey,
  type Keyring,
  loadKeyring,
  type OAuth,
} from '../../src/vault/index.ts';
import { guardedFetch } from '../../src/vault/oauth/guarded-fetch.ts';
import { newOrganization } from '../directory/fixture.ts';
import { key, ring, vaultOver } from './fixture.ts';
import { age, connected, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
const folder = mkdtempSync(join(tmpdir(), 'tenantry-rare-'));
afterEach(() => f.provider.faults.clear());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A key management service that cannot be reached: it wraps what it wrapped, and unwraps nothing. */
const away = (over: Keyring): Keyring => ({
  current: over.current,
  ids: over.ids,
  wrap: (dataKey, context) => over.wrap(dataKey, context),
  unwrap: async () => {
    throw new Error('the service is away');
  },
});

/** OAuth in a process with another key ring than the fixture's. */
function oauthWith(keyring: Keyring, { crossing = true, kernel = f.kernel } = {}): OAuth {
  const { issuer, clientId, clientSecret, redirectUri } = f.provider;
  const { keys } = createVault(kernel, { keyring, audit: f.audit });
  const local = { issuer, clientId, clientSecret, allowInsecure: true, scopes: ['openid', 'offline_access'] };
  return createOAuth(
    kernel,
    { providers: { local }, redirectUris: [redirectUri], timeoutSeconds: 2 },
    {
      keys,
      audit: f.audit,
      ...(crossing ? { acrossTenants: (_reason, fn) => fn(createKernel(f.db.admin)) } : {}),
    },
  );
}

describe('data keys that cannot be had', () => {
  it('because the key management service is away: its own error, and nothing is lost', async () => {
    const org = await newOrganization(f);
    const whole = ring('k1');
    await org.asAdmin(() => vaultOver(f, whole).secrets.put({ name: 'smtp', value: 'kept' }));
    await expect(org.asAdmin(() => vaultOver(f, away(whole)).secrets.reveal('smtp'))).rejects.toThrow(
      'the service is away',
    );
    const rotation = createVaultRotation({ database: f.db.admin, keyring: away(whole) });
    await expect(rotation.rotateDataKeys({ tenantId: org.tenantId })).rejects.toThrow('the service is away');
    const again = createVaultRotation({ database: f.db.admin, keyring: whole });
    expect(await again.rotateDataKeys({ tenantId: org.tenantId })).toMatchObject({ resumed: true, values: 1 });
    expect(await org.asAdmin(() => vaultOver(f, whole).secrets.reveal('smtp'))).toBe('kept');
  });

  it('because none is current, or it was wrapped in a way that is not ours', async () => {
    const org = await newOrganization(f);
    const vault = vaultOver(f, ring('k1'));
    await org.asAdmin(() => vault.secrets.put({ name: 'smtp', value: 'x' }));
    await f.db.query(`update tenantry.data_keys set status = 'retired' where tenant_id = $1`, [org.tenantId]);
    await expect(org.asAdmin(() => vault.secrets.put({ name: 'smtp', value: 'y' }))).rejects.toMatchObject({
      code: 'TNT_INTERNAL',
      message: expect.stringContaining('none is current'),
    });
    await f.db.query(`update tenantry.data_keys set wrapped = set_byte(wrapped, 0, 2) where tenant_id = $1`, [
      org.tenantId,
    ]);
    vault.forgetKeys();
    await expect(org.asAdmin(() => vault.secrets.reveal('smtp'))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_WRONG',
    });
  });

  it('because the key file was spoiled since: the keys of before go on, and what is missing says why', async () => {
    const file = join(folder, 'keys');
    writeFileSync(file, `${generateKey('k1')}\n`, { mode: 0o600 });
    const loaded = loadKeyring({ file })!;
    const { keyId, wrapped } = await loaded.wrap(Buffer.alloc(32, 1), Buffer.from('context'));
    writeFileSync(file, 'spoiled');
    expect(await loaded.unwrap(keyId, wrapped, Buffer.from('context'))).toEqual(Buffer.alloc(32, 1));
    await expect(loaded.unwrap('k2', wrapped, Buffer.from('context'))).rejects.toMatchObject({
      code: 'TNT_CONFIG_INVALID',
    });
  });

  it('a rotation that is stopped by whatever signal says that it was stopped', async () => {
    const org = await newOrganization(f);
    await org.asAdmin(() => vaultOver(f, ring('k1')).secrets.put({ name: 'smtp', value: 'x' }));
    const rotation = createVaultRotation({ database: f.db.admin, keyring: ring('k1') });
    await expect(rotation.rewrap({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'TNT_INTERRUPTED' });
  });
});

describe('OAuth without the key that its tokens stand under', () => {
  it('keeps the connection, and a revocation waits until the key is there', async () => {
    const org = await connected(f);
    const stranger = oauthWith(createKeyring([key('k9')]));
    await expect(org.asAdmin(() => stranger.disconnect({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_MISSING',
    });
    expect(await org.asAdmin(() => f.oauth.get({ provider: 'local' }))).not.toBeNull();
    f.provider.faults.set('/token/revocation', 503);
    expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    f.provider.faults.clear();
    const due = (): Promise<unknown> =>
      f.db.query('update tenantry.oauth_revocations set next_attempt_at = now() where tenant_id = $1', [org.tenantId]);
    await due();
    expect(await stranger.maintain()).toMatchObject({ revoked: 0, pending: 1 });
    expect(
      await f.db.query('select failure from tenantry.oauth_revocations where tenant_id = $1', [org.tenantId]),
    ).toEqual([{ failure: 'TNT_VAULT_KEY_MISSING' }]);
    await due();
    expect(await oauthWith(f.keyring).maintain()).toMatchObject({ revoked: 1, pending: 0 });
  });

  it('is not maintained without a way across organizations, nor past a database that fails', async () => {
    await expect(oauthWith(f.keyring, { crossing: false }).maintain()).rejects.toMatchObject({
      code: 'TNT_OPERATOR_UNAVAILABLE',
    });
    const org = await connected(f);
    await f.db.query(
      `update tenantry.oauth_tokens set connected_at = now() - interval '8 days', refreshed_at = null where tenant_id = $1`,
      [org.tenantId],
    );
    await age(f, org, -10);
    const pool = createPool({ connectionString: f.db.appUrl, max: 1 });
    await pool.end();
    await expect(oauthWith(f.keyring, { kernel: createKernel(pool) }).maintain()).rejects.toThrow('after calling end');
    await f.db.query('delete from tenantry.oauth_tokens where tenant_id = $1', [org.tenantId]);
  });
});

describe('addresses that organizations write down', () => {
  const get = { method: 'GET', headers: {} };

  it('are refused without https, and a name that is none is the network’s own error', async () => {
    const wary = guardedFetch({ allowPrivateAddresses: false, allowInsecure: false });
    for (const address of ['http://example.com/', 'https://127.0.0.1/', 'https://[::1]/', 'ftp://example.com/'])
      await expect(wary(address, get), address).rejects.toMatchObject({ code: 'TNT_OAUTH_ADDRESS_REFUSED' });
    await expect(wary('https://nothing.invalid/', get)).rejects.toMatchObject({ syscall: 'getaddrinfo' });
    await expect(wary('https://localhost/', get)).rejects.toMatchObject({ code: 'TNT_OAUTH_ADDRESS_REFUSED' });
  });

  it('name no user, no query, and are no longer than an address is', async () => {
    const org = await newOrganization(f);
    const { oauth } = f.process();
    for (const issuer of ['https://u:p@login.example', `https://login.example/${'x'.repeat(2000)}`, 'nonsense'])
      await expect(
        org.asAdmin(() => oauth.providers.put({ name: 'own', issuer, clientId: 'c', clientSecret: 's' })),
      ).rejects.toMatchObject({ code: 'TNT_OAUTH_ADDRESS_REFUSED' });
  });
});

it('sync states come a page at a time, to the migrating login, which sees those of everybody', async () => {
  const org = await newOrganization(f);
  const states = createSyncStates(f.kernel);
  const users = [org.adminId, await org.member(), await org.member()];
  for (const userId of users) await withTenant({ tenantId: org.tenantId, userId }, () => states.create());
  await withTenant({ tenantId: org.tenantId }, async () => {
    const all = createSyncStates(createKernel(f.db.admin));
    const seen: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await all.list({ limit: 1, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ userId }) => userId));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(seen.sort()).toEqual([...users].sort());
  });
});
