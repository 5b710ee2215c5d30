import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createKernel } from '../../src/database/kernel.ts';
import { TenantryError } from '../../src/errors.ts';
import { createOAuth, createVault, createVaultRotation, type Keyring, type OAuth } from '../../src/vault/index.ts';
import { wrapContext } from '../../src/vault/data-keys.ts';
import { guardedFetch } from '../../src/vault/oauth/guarded-fetch.ts';
import { newOrganization, type TestOrganization } from '../directory/fixture.ts';
import { ring, vaultOver } from './fixture.ts';
import { callsDuring } from './local-provider.ts';
import { age, connected, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
const servers: Server[] = [];
afterEach(() => f.provider.faults.clear());
afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A provider that answers its token and revocation endpoints as it is told. */
async function plainProvider(answers: Record<string, readonly [status: number, body: object]>): Promise<string> {
  const issuer = await serve((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname;
    const [status, body] = path.startsWith('/.well-known')
      ? ([
          200,
          {
            issuer,
            authorization_endpoint: `${issuer}/auth`,
            token_endpoint: `${issuer}/token`,
            revocation_endpoint: `${issuer}/revoke`,
          },
        ] as const)
      : (answers[path] ?? [404, {}]);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  return issuer;
}

/** A process whose provider "local" is that one, and a connection that stands on it. */
async function standingOn(issuer: string): Promise<{ oauth: OAuth; org: TestOrganization }> {
  const org = await connected(f);
  const { clientId, clientSecret } = f.provider;
  const local = { issuer, clientId, clientSecret, allowInsecure: true, scopes: ['openid'] };
  await f.db.query('update tenantry.oauth_tokens set issuer = $2 where tenant_id = $1', [org.tenantId, issuer]);
  return { org, oauth: f.process({ providers: { local } }).oauth };
}

/** Runs `change` in a transaction that has the organization's connection, and commits once somebody waits for it. */
async function beforeTheOther(org: TestOrganization, change: string, other: () => Promise<unknown>): Promise<unknown> {
  const root = new pg.Client({ connectionString: f.db.superuserUrl });
  await root.connect();
  const holder = await f.db.admin.connect();
  try {
    await holder.query('begin');
    await holder.query(change, [org.tenantId]);
    const outcome = other().catch((error: unknown) => error);
    for (let tries = 0; ; tries += 1) {
      const { rowCount } = await root.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and application_name = 'oauth-process'`,
      );
      if ((rowCount ?? 0) > 0) break;
      if (tries > 1_000) throw new Error('nobody waits');
      await new Promise((done) => setTimeout(done, 5));
    }
    await holder.query('commit');
    return await outcome;
  } finally {
    holder.release();
    await root.end();
  }
}

describe('A9: who waits for a connection, and then', () => {
  it('it was taken away: nothing is refreshed, and the provider is not asked', async () => {
    const { oauth } = f.process();
    const org = await connected(f, { oauth });
    await age(f, org, -1);
    const calls = await callsDuring(f.provider, '/token', async () => {
      const outcome = await beforeTheOther(org, 'delete from tenantry.oauth_tokens where tenant_id = $1', () =>
        org.asAdmin(() => oauth.accessToken({ provider: 'local' })),
      );
      expect(outcome).toMatchObject({ code: 'TNT_NOT_FOUND' });
    });
    expect(calls).toBe(0);
    expect(await f.db.query('select 1 from tenantry.oauth_tokens where tenant_id = $1', [org.tenantId])).toEqual([]);
  });

  it('another process was told that it needs consent: the dead refresh token is not sent again', async () => {
    const { oauth } = f.process();
    const org = await connected(f, { oauth });
    await age(f, org, -1);
    const calls = await callsDuring(f.provider, '/token', async () => {
      const outcome = await beforeTheOther(
        org,
        `update tenantry.oauth_tokens set status = 'needs_consent', failure = 'invalid_grant' where tenant_id = $1`,
        () => org.asAdmin(() => oauth.accessToken({ provider: 'local' })),
      );
      expect(outcome).toMatchObject({ code: 'TNT_OAUTH_CONSENT_NEEDED', details: { reason: 'invalid_grant' } });
    });
    expect(calls).toBe(0);
  });

  it('two callbacks of one user at once leave one connection', async () => {
    const org = await newOrganization(f);
    const { oauth } = f.process();
    for (let round = 0; round < 3; round += 1) {
      const callbacks: string[] = [];
      for (let i = 0; i < 2; i += 1) {
        const { url } = await org.asAdmin(() => oauth.connect({ provider: 'local' }));
        callbacks.push(await f.provider.browse(url, 'ann'));
      }
      const made = await org.asAdmin(() => Promise.all(callbacks.map((callback) => oauth.finish(callback))));
      expect(new Set(made.map(({ connection }) => connection.id)).size).toBe(1);
      await org.asAdmin(() => oauth.accessToken({ provider: 'local' }));
      expect(await org.asAdmin(() => oauth.list())).toHaveLength(1);
      await org.asAdmin(() => oauth.disconnect({ provider: 'local' }));
    }
  });
});

describe('A9: a provider that says little, or too much', () => {
  it('no life, no scopes and no new refresh token: an hour, and what there was', async () => {
    const issuer = await plainProvider({ '/token': [200, { access_token: 'of-few-words', token_type: 'bearer' }] });
    const { oauth, org } = await standingOn(issuer);
    for (let i = 0; i < 2; i += 1) {
      await age(f, org, -1);
      const token = await org.asAdmin(() => oauth.accessToken({ provider: 'local' }));
      expect(token.accessToken.reveal()).toBe('of-few-words');
      expect(token.scopes).toEqual(['openid', 'offline_access', 'mail.read']);
      expect(Math.abs(token.expiresAt.getTime() - Date.now() - 3_600_000)).toBeLessThan(120_000);
    }
  });

  it.each([
    ['its own words with the secret that was sent', { error: 'bad token: hunter2-refresh' }, 'refused'],
    [
      'a word of the standard, and a secret behind it',
      { error: 'slow_down', error_description: 'hunter2' },
      'slow_down',
    ],
  ])('%s: none of them is kept or told', async (_, body, reason) => {
    const { oauth, org } = await standingOn(await plainProvider({ '/token': [400, body] }));
    await age(f, org, -1);
    const error = await org.asAdmin(() => oauth.accessToken({ provider: 'local' }).catch((thrown: unknown) => thrown));
    expect(error).toMatchObject({ code: 'TNT_OAUTH_UNAVAILABLE', details: { reason } });
    const rows = await f.db.query('select t::text from tenantry.oauth_tokens t where tenant_id = $1', [org.tenantId]);
    expect(`${JSON.stringify(rows)} ${JSON.stringify(error)} ${String((error as Error).stack)}`).not.toContain(
      'hunter2',
    );
  });

  it('that a token is invalid when it is to be revoked: then it is revoked; anything else is asked again', async () => {
    const gone = await standingOn(await plainProvider({ '/revoke': [400, { error: 'invalid_token' }] }));
    expect(await gone.org.asAdmin(() => gone.oauth.disconnect({ provider: 'local' }))).toBe('revoked');
    const unsure = await standingOn(await plainProvider({ '/revoke': [400, { error: 'invalid_client' }] }));
    expect(await unsure.org.asAdmin(() => unsure.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    await f.db.query('delete from tenantry.oauth_revocations where tenant_id = $1', [unsure.org.tenantId]);
  });

  it('nothing but headers, each as often as it comes: what is empty stays empty', async () => {
    const url = await serve((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        response.setHeader('set-cookie', ['a=1', 'b=2']);
        response.setHeader('x-body', body);
        response.writeHead(204).end();
      });
    });
    const open = guardedFetch({ allowPrivateAddresses: true, allowInsecure: true });
    const byName = url.replace('127.0.0.1', 'localhost');
    for (const body of ['token=x', new URLSearchParams({ token: 'x' })]) {
      const answer = await open(byName, { method: 'POST', headers: {}, body });
      expect([answer.status, answer.headers.get('x-body'), answer.headers.getSetCookie(), await answer.text()]).toEqual(
        [204, 'token=x', ['a=1', 'b=2'], ''],
      );
    }
  });
});

describe('A9: disconnecting without a key', () => {
  it('keeps tokens that cannot be opened yet: they could not be revoked', async () => {
    const org = await connected(f);
    // a rotation was killed half-way: the current data key is under a new key, the tokens under the one that this ring lacks
    const newer = ring('k2');
    const { keyId, wrapped } = await newer.wrap(randomBytes(32), wrapContext(org.tenantId, 2));
    await f.db.query(`update tenantry.data_keys set status = 'retired' where tenant_id = $1`, [org.tenantId]);
    await f.db.query(`insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) values ($1, 2, $2, $3)`, [
      org.tenantId,
      keyId,
      wrapped,
    ]);
    const { issuer, clientId, clientSecret, redirectUri } = f.provider;
    const { keys } = createVault(f.kernel, { keyring: newer, audit: f.audit });
    const oauth = createOAuth(
      f.kernel,
      {
        providers: { local: { issuer, clientId, clientSecret, allowInsecure: true, scopes: ['openid'] } },
        redirectUris: [redirectUri],
      },
      { keys, audit: f.audit },
    );
    await expect(org.asAdmin(() => oauth.disconnect({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_MISSING',
    });
    expect(await org.asAdmin(() => oauth.get({ provider: 'local' }))).toMatchObject({ status: 'active' });
    expect(await f.db.query('select 1 from tenantry.oauth_revocations where tenant_id = $1', [org.tenantId])).toEqual(
      [],
    );
  });

  it('one organization whose key service fails keeps nobody else’s tokens from being revoked and refreshed', async () => {
    const [stuck, revoked, idle] = [await connected(f), await connected(f), await connected(f)];
    f.provider.faults.set('/token/revocation', 503);
    for (const org of [stuck, revoked])
      expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    f.provider.faults.clear();
    await f.db.query(
      `update tenantry.oauth_revocations set next_attempt_at = now() - case tenant_id when $1 then interval '2 hours' else interval '1 hour' end`,
      [stuck.tenantId],
    );
    await f.db.query(
      `update tenantry.oauth_tokens set connected_at = now() - interval '8 days', refreshed_at = null, expires_at = now() - interval '7 days' where tenant_id = $1`,
      [idle.tenantId],
    );
    const failing: Keyring = {
      current: f.keyring.current,
      ids: f.keyring.ids,
      wrap: (dataKey, context) => f.keyring.wrap(dataKey, context),
      unwrap: async (keyId, wrapped, context) => {
        if (context.includes(stuck.tenantId)) throw new Error('the key service of this organization is away');
        return f.keyring.unwrap(keyId, wrapped, context);
      },
    };
    const { keys } = createVault(f.kernel, { keyring: failing, audit: f.audit });
    const { issuer, clientId, clientSecret, redirectUri } = f.provider;
    const oauth = createOAuth(
      f.kernel,
      {
        providers: { local: { issuer, clientId, clientSecret, allowInsecure: true, scopes: ['openid'] } },
        redirectUris: [redirectUri],
      },
      { keys, audit: f.audit, acrossTenants: (_reason, fn) => fn(createKernel(f.db.admin)) },
    );
    await expect(oauth.maintain()).rejects.toThrow('the key service of this organization is away');
    expect(await f.db.query('select tenant_id as id from tenantry.oauth_revocations')).toEqual([
      { id: stuck.tenantId },
    ]);
    expect(await idle.asAdmin(() => oauth.get({ provider: 'local' }))).toMatchObject({
      refreshedAt: expect.any(Date) as Date,
    });
    // the service is back
    expect(await f.oauth.maintain()).toMatchObject({ revoked: 1, pending: 0 });
  });

  it('two maintainers at once ask the provider once', async () => {
    const org = await connected(f);
    f.provider.faults.set('/token/revocation', 503);
    expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    f.provider.faults.clear();
    await f.db.query('update tenantry.oauth_revocations set next_attempt_at = now()');
    const others = [f.process().oauth, f.process().oauth, f.process().oauth];
    // two tokens, each revoked once
    const calls = await callsDuring(f.provider, '/token/revocation', async () => {
      const done = await Promise.all(others.map((oauth) => oauth.maintain()));
      expect(done.reduce((sum, { revoked }) => sum + revoked, 0)).toBe(1);
    });
    expect(calls).toBe(2);
  });
});

describe('what is no provider, callback, version or column', () => {
  it('is refused by name, or is none', async () => {
    const redirectUris = [f.provider.redirectUri];
    const client = { issuer: 'https://idp.example.com', clientId: 'c', scopes: [] };
    for (const providers of [{ 'My Provider': client }, { '': client }])
      expect(() => f.process({ redirectUris, providers })).toThrow('oauth.providers');
    expect(() => f.process({ redirectUris, providers: { p: { ...client, clientId: '' } } })).toThrow(
      'oauth.providers.p.clientId',
    );
    const org = await newOrganization(f);
    const vault = vaultOver(f, ring('k1'));
    await org.asAdmin(async () => {
      await expect(f.oauth.finish('http://[')).rejects.toMatchObject({ code: 'TNT_OAUTH_STATE_INVALID' });
      await vault.secrets.put({ name: 'smtp', value: 'x' });
      for (const version of [1.5, Number.NaN, -1]) expect(await vault.secrets.reveal('smtp', { version })).toBeNull();
    });
    const entries = await org.asAdmin(async () => (await f.audit.list()).items);
    expect(entries.map(({ action }) => action)).toEqual(['secret.created']);
  });

  it('a column of the application may be empty, and name its schema; a run that is stopped says with what', async () => {
    const org = await newOrganization(f);
    const keyring = ring('k1');
    const vault = vaultOver(f, keyring);
    await f.db.query(
      'create table suppliers (id int primary key, tenant_id uuid, iban text); grant select, insert on suppliers to tenantry_app',
    );
    const place = { table: 'public.suppliers', column: 'iban' };
    const sealed = await org.asAdmin(() => vault.seal('DE02', { ...place, row: '1' }));
    await f.db.query(
      `insert into suppliers values (1, $1::uuid, $2), (2, $1::uuid, null), (3, $1::uuid, 'never encrypted')`,
      [org.tenantId, sealed],
    );
    const rotation = createVaultRotation({ database: f.db.admin, keyring, columns: [place] });
    await rotation.rotateDataKeys({ tenantId: org.tenantId });
    const [row] = await f.db.query<{ iban: string }>('select iban from suppliers where id = 1');
    expect(row!.iban).toMatch(/^v1\.2\./);
    expect((await org.asAdmin(() => vault.open(row!.iban, { ...place, row: '1' }))).toString()).toBe('DE02');
    const why = new TenantryError('TNT_INTERRUPTED', 'The machine is shut down.');
    await expect(rotation.verify({ signal: AbortSignal.abort(why) })).rejects.toBe(why);
  });
});
