import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import { createKernel, type Kernel } from '../../src/database/kernel.ts';
import { createOperatorPool, createTenantry, type TenantryOptions } from '../../src/index.ts';
import { createVaultRotation, google } from '../../src/vault/index.ts';
import {
  deleteSecret,
  listSecrets,
  listSecretVersions,
  selectCurrentDataKey,
  selectSecret,
  selectSecretValue,
} from '../../src/vault/queries.ts';
import { listConnections, lockRevocation, selectToken, takeState } from '../../src/vault/oauth/queries.ts';
import { newOrganization, type TestOrganization } from '../directory/fixture.ts';
import { tenantry } from '../support/command-line.ts';
import { age, connect, connected, oauthFixture } from './oauth-fixture.ts';
import { type LocalProvider, startLocalProvider } from './local-provider.ts';

const f = oauthFixture();
const poor = {} as { provider: LocalProvider };
beforeAll(async () => {
  poor.provider = await startLocalProvider({ refreshTokens: false, revocation: false });
});
afterAll(() => poor.provider.close());
afterEach(() => {
  f.provider.faults.clear();
});

describe('t.vault, t.oauth and t.syncStates', () => {
  const built = (options: Partial<TenantryOptions> = {}) =>
    createTenantry({ pool: f.pool, keys: { listen: false }, ...options });

  it('say what is missing when they are read, and not before', async () => {
    const t = built();
    expect(() => t.vault).toThrow('there is no key ring');
    expect(() => t.oauth).toThrow('there are no providers');
    expect(() => built({ oauth: { redirectUris: ['http://127.0.0.1/cb'] } }).oauth).toThrow('there is no key ring');
    await t.close();
  });

  it('work together: a key of the organization reads secrets by its own permissions, a widget key never', async () => {
    const org = await newOrganization(f);
    const t = built({
      vault: { keyring: f.keyring },
      keys: { listen: false, peppers: `p1:${randomBytes(32).toString('base64')}` },
    });
    expect(t.vault).toBe(t.vault);
    await org.asAdmin(() => t.vault.secrets.put({ name: 'smtp', value: 'hunter2' }));
    const make = (permissions: string[]) => org.asAdmin(() => t.keys.create({ name: 'k', permissions }));
    const [reads, other] = [await make(['secrets.read']), await make(['read'])];
    const reader = (await t.keys.verify(reads.key)).context;
    expect(await withTenant(reader, () => t.vault.secrets.reveal('smtp'))).toBe('hunter2');
    await expect(withTenant(reader, () => t.vault.secrets.put({ name: 'smtp', value: 'x' }))).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    await expect(
      withTenant((await t.keys.verify(other.key)).context, () => t.vault.secrets.reveal('smtp')),
    ).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    await expect(
      org.asAdmin(() =>
        t.keys.create({
          name: 'w',
          kind: 'widget',
          permissions: ['secrets.read'],
          allowedOrigins: ['https://shop.example.com'],
        }),
      ),
    ).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    // a key is not a job: what the system keeps for itself is not for it
    const id = await org.asAdmin(() => t.vault.store('webhooks').put('endpoint', 'whsec'));
    await expect(withTenant(reader, () => t.vault.store('webhooks').reveal(id))).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
    expect(await withTenant({ tenantId: org.tenantId }, () => t.vault.store('webhooks').reveal(id))).toBe('whsec');
    // and a tenant that is claimed beside a key of another one opens nothing
    const stranger = await newOrganization(f);
    await expect(
      withTenant({ ...reader, tenantId: stranger.tenantId }, () => t.vault.secrets.reveal('smtp')),
    ).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    await t.close();
  });

  it('maintain over the operator’s connection, which leaves its entry', async () => {
    const operator = createOperatorPool(f.db.operatorUrl, { max: 2 });
    const oauth = {
      redirectUris: [f.provider.redirectUri],
      providers: { google: google({ clientId: 'c', clientSecret: 's' }) },
    };
    const t = built({ vault: { keyring: f.keyring }, oauth, operator });
    expect(await t.oauth.maintain({ limit: 10 })).toEqual({
      revoked: 0,
      pending: 0,
      refreshed: 0,
      failed: 0,
      statesForgotten: 0,
    });
    expect(await f.db.query(`select reason from tenantry.operator_log`)).toEqual([
      { reason: 'maintain OAuth connections' },
    ]);
    await expect(built({ vault: { keyring: f.keyring }, oauth }).oauth.maintain()).rejects.toMatchObject({
      code: 'TNT_OPERATOR_UNAVAILABLE',
    });
    await operator!.end();
  });
});

describe('A9: refreshing, at its edges', () => {
  it('force means a new token or an error, never the old one again', async () => {
    const org = await connected(f);
    f.provider.faults.set('/token', 500);
    await expect(org.asAdmin(() => f.oauth.refresh({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_UNAVAILABLE',
    });
    await org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }));
  });

  it('tokens of somebody else are not taken', async () => {
    const org = await connected(f);
    await f.db.query(`update tenantry.oauth_tokens set subject = 'somebody else' where tenant_id = $1`, [org.tenantId]);
    await age(f, org, -1);
    await expect(org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_CONSENT_NEEDED',
      details: { reason: 'subject_changed' },
    });
    // and a new consent by another person starts anew
    expect((await connect(f, org, { login: 'eve' })).connection).toMatchObject({ subject: 'eve', status: 'active' });
  });

  it('a row that another process holds for too long is not waited for without end', async () => {
    const { oauth } = f.process({ timeoutSeconds: 0.2 });
    const org = await connected(f);
    const holder = await f.db.admin.connect();
    try {
      await age(f, org, 0.5);
      await holder.query('begin');
      await holder.query('select 1 from tenantry.oauth_tokens where tenant_id = $1 for update', [org.tenantId]);
      await org.asAdmin(() => oauth.accessToken({ provider: 'local' })); // still good: nobody waits
      await expect(org.asAdmin(() => oauth.refresh({ provider: 'local' }))).rejects.toMatchObject({
        code: 'TNT_OAUTH_UNAVAILABLE',
        details: { reason: 'locked' },
      });
    } finally {
      await holder.query('rollback');
      holder.release();
    }
  });

  it('a provider without refresh tokens and without revocation: good until it expires, then consent; ends by itself', async () => {
    const { issuer, clientId, clientSecret, redirectUri } = poor.provider;
    const providers = { poor: { issuer, clientId, clientSecret, scopes: ['openid'], allowInsecure: true } };
    const { oauth } = f.process({ providers, redirectUris: [redirectUri] });
    const org = await newOrganization(f);
    const login = async () => {
      const { url } = await org.asAdmin(() => oauth.connect({ provider: 'poor' }));
      const callback = await poor.provider.browse(url, 'ann');
      await org.asAdmin(() => oauth.finish(callback));
    };
    await login();
    await age(f, org, 100);
    await org.asAdmin(() => oauth.accessToken({ provider: 'poor' }));
    expect(await org.asAdmin(() => oauth.get({ provider: 'poor' }))).toMatchObject({ status: 'active' });
    await age(f, org, -1);
    await expect(org.asAdmin(() => oauth.accessToken({ provider: 'poor' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_CONSENT_NEEDED',
      details: { reason: 'no_refresh_token' },
    });
    await login();
    expect(await org.asAdmin(() => oauth.disconnect({ provider: 'poor' }))).toBe('unsupported');
    // a name that is configured no longer
    await login();
    expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'poor' }))).toBe('unsupported');
    expect(await f.db.query('select 1 from tenantry.oauth_revocations where tenant_id = $1', [org.tenantId])).toEqual(
      [],
    );
  });

  it('a new consent without a refresh token keeps the old one, and one that does not open is let go', async () => {
    const org = await connected(f, { provider: 'google' });
    // Google gives a refresh token at the first consent only: the second time it comes without
    const { issuer, clientId, clientSecret, redirectUri } = poor.provider;
    const { oauth } = f.process({
      providers: { google: { issuer, clientId, clientSecret, scopes: ['openid'], allowInsecure: true } },
      redirectUris: [redirectUri],
    });
    await f.db.query('update tenantry.oauth_tokens set issuer = $2 where tenant_id = $1', [org.tenantId, issuer]);
    const again = async () => {
      const { url } = await org.asAdmin(() => oauth.connect());
      const callback = await poor.provider.browse(url, 'ann');
      return org.asAdmin(() => oauth.finish(callback));
    };
    await again();
    await f.db.query('update tenantry.oauth_tokens set issuer = $2 where tenant_id = $1', [
      org.tenantId,
      f.provider.issuer,
    ]);
    await age(f, org, -1);
    await org.asAdmin(() => f.oauth.accessToken()); // with the refresh token of the first consent
    await f.db.query(
      `update tenantry.oauth_tokens set issuer = $2, refresh_token = overlay(refresh_token placing 'AAAA' from 20) where tenant_id = $1`,
      [org.tenantId, issuer],
    );
    await expect(org.asAdmin(() => oauth.refresh())).rejects.toMatchObject({ code: 'TNT_SECRET_DAMAGED' });
    await again();
    expect(await org.asAdmin(() => oauth.get())).toMatchObject({ status: 'active' });
    await f.db.query(
      `update tenantry.oauth_tokens set refresh_token = overlay(refresh_token placing 'AAAA' from 20) where tenant_id = $1`,
      [org.tenantId],
    );
    expect(await org.asAdmin(() => oauth.disconnect())).not.toBeNull(); // what does not open is no reason to stay connected
  });

  it('one connection to the database is enough, also when no key is in memory: nobody waits for himself', async () => {
    const { oauth, vault } = f.process({}, 1, { maxAgeMs: 0, maxKeys: 1 });
    const organizations = [await connected(f), await connected(f), await connected(f)];
    const place = { table: 't', column: 'c', row: '1' };
    await Promise.all(
      organizations.map(async (org) => {
        await age(f, org, -1);
        await org.asAdmin(async () => {
          const sealed = await vault.seal('x', place);
          await Promise.all([
            ...Array.from({ length: 4 }, () => oauth.accessToken({ provider: 'local' })),
            vault.open(sealed, place),
            vault.secrets.put({ name: 's', value: 'x' }),
          ]);
          expect(await vault.secrets.reveal('s')).toBe('x');
          vault.forgetKeys();
          await Promise.all([oauth.disconnect({ provider: 'local' }), vault.secrets.reveal('s')]);
        });
      }),
    );
    expect(await f.db.query('select 1 from tenantry.oauth_revocations')).toEqual([]);
  });

  it('a user has twenty ways open at most', async () => {
    const org = await newOrganization(f);
    const urls = await org.asAdmin(async () => {
      const made: string[] = [];
      for (let i = 0; i < 23; i += 1) made.push((await f.oauth.connect({ provider: 'local' })).url);
      return made;
    });
    expect(await f.db.query('select 1 from tenantry.oauth_states where tenant_id = $1', [org.tenantId])).toHaveLength(
      20,
    );
    const tenantOf = (url: string) => withUser({ userId: org.adminId }, () => f.oauth.tenantOfState(url));
    expect(await tenantOf(urls[0]!)).toBeNull();
    expect(await tenantOf(urls[22]!)).toBe(org.tenantId);
    expect(await org.asAdmin(() => f.oauth.tenantOfState(urls[22]!))).toBe(org.tenantId);
  });
});

describe('F4: the statements of the vault, under the policies and as the application', () => {
  let org: TestOrganization;
  beforeAll(async () => {
    org = await newOrganization(f);
    const sealed = `'v1.1.' || repeat('A', 40)`;
    const t = org.tenantId;
    await f.db.query(
      `with people as (insert into tenantry.users (email) select 'explain' || i || '@example.com' from generate_series(1, 400) i returning id)
       insert into tenantry.org_members (tenant_id, user_id) select '${t}', id from people`,
    );
    for (const statement of [
      `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) values ('${t}', 1, 'k', decode(repeat('00', 61), 'hex'))`,
      `insert into tenantry.oauth_tokens (tenant_id, user_id, access_token, refresh_token, expires_at)
         select '${t}', user_id, ${sealed}, ${sealed}, now() from tenantry.org_members where tenant_id = '${t}'`,
      `insert into tenantry.oauth_states (tenant_id, user_id, state_hash, provider, issuer, checks, redirect_uri, scopes, expires_at)
         select '${t}', user_id, sha256(user_id::text::bytea), 'p', 'i', ${sealed}, 'r', '{}', now() from tenantry.org_members where tenant_id = '${t}'`,
      `insert into tenantry.oauth_revocations (tenant_id, user_id, provider, issuer, token)
         select '${t}', user_id, 'p', 'i', ${sealed} from tenantry.org_members where tenant_id = '${t}'`,
      `insert into tenantry.secrets (tenant_id, name) select '${t}', 's' || i from generate_series(1, 400) i`,
      `insert into tenantry.secret_versions (tenant_id, secret_id, version, value)
         select '${t}', id, 1, ${sealed} from tenantry.secrets where tenant_id = '${t}'`,
      'analyze tenantry.oauth_tokens, tenantry.oauth_states, tenantry.oauth_revocations, tenantry.secrets, tenantry.secret_versions, tenantry.data_keys',
    ])
      await f.db.query(statement);
  });

  it('go by an index', async () => {
    const id = '01980000-0000-7000-8000-000000000000';
    const plans: string[] = [];
    const explaining = (tx: Kernel): Kernel => ({
      ...tx,
      async query(text, values) {
        const rows = await tx.query<Record<string, unknown>>(`explain ${text}`, values);
        plans.push(rows.map((row) => String(row['QUERY PLAN'])).join('\n'));
        return [];
      },
    });
    await org.asAdmin(() =>
      createKernel(f.pool).transaction(async (tx) => {
        await tx.query('set local enable_seqscan = off');
        const e = explaining(tx);
        const t = org.tenantId;
        await selectCurrentDataKey(e, t);
        await selectSecret(e, t, 'application', { name: 's1' });
        await selectSecret(e, t, 'application', { id });
        await selectSecretValue(e, t, id, 1);
        await listSecretVersions(e, t, id);
        await listSecrets(e, t, 'application', 's2', 50);
        await deleteSecret(e, t, id);
        await selectToken(e, t, org.adminId, 'google', 'for update');
        await listConnections(e, t, org.adminId);
        await takeState(e, t, org.adminId, randomBytes(32));
        await lockRevocation(e, t, id);
      }),
    );
    expect(plans).toHaveLength(11);
    for (const plan of plans) {
      expect(plan).toMatch(/Index (Only )?Scan|Bitmap Index Scan/);
      expect(plan).not.toMatch(/Seq Scan on (secrets|secret_versions|oauth_|data_keys)/);
    }
  });
});

describe('configuration of tenantry vault', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-vault-config-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('names the key file and the sealed columns, and refuses names that are none', async () => {
    const keyFile = join(folder, 'keys');
    writeFileSync(keyFile, `k1:${Buffer.from(f.keyBytes).toString('base64')}\n`, { mode: 0o600 });
    const config = join(folder, 'tenantry.config.json');
    writeFileSync(config, JSON.stringify({ vault: { keyFile, columns: [{ table: 'no_such_table', column: 'x' }] } }));
    const environment = { DATABASE_URL: f.db.adminUrl, TENANTRY_ADMIN_URL: f.db.adminUrl };
    const status = await tenantry(['vault', 'status', '--config', config], environment);
    expect(status).toMatchObject({ code: 1, err: expect.stringContaining('no_such_table') as string });
    writeFileSync(config, JSON.stringify({ vault: { keyFile } }));
    expect(await tenantry(['vault', 'status', '--config', config, '--json'], environment)).toMatchObject({ code: 3 }); // the plans' data key
    const database = f.db.admin;
    expect(() => createVaultRotation({ database, keyring: f.keyring, columns: [{ table: 'x', column: '' }] })).toThrow(
      'vault.columns',
    );
    expect(await tenantry(['vault', 'rotate', '--batch', '0'], environment)).toMatchObject({ code: 2 });
    expect(await tenantry(['vault', 'keygen', 'not an id'])).toMatchObject({ code: 2 });
  });
});
