import { inspect } from 'node:util';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import { google, oauthConnectionSchema } from '../../src/vault/index.ts';
import { newOrganization, newUser } from '../directory/fixture.ts';
import { callsDuring } from './local-provider.ts';
import { age, connect, connected, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
afterEach(() => {
  f.provider.faults.clear();
  f.provider.rotate = false;
  f.provider.delayMs = 0;
});
const stateInvalid = { code: 'TNT_OAUTH_STATE_INVALID' };

describe('A1, A9: connecting', () => {
  it('goes through a real provider with PKCE, state and nonce, and keeps what was granted, encrypted', async () => {
    const org = await newOrganization(f);
    const { url } = await org.asAdmin(() => f.oauth.connect({ provider: 'google', returnTo: '/settings?tab=mail' }));
    const asked = new URL(url).searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({
      access_type: 'offline',
      prompt: 'consent',
      include_granted_scopes: 'true',
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: f.provider.redirectUri,
      scope: 'openid email mail.read mail.of-another-world',
    });
    for (const name of ['state', 'nonce', 'code_challenge']) expect(asked.get(name)?.length, name).toBeGreaterThan(40);
    const callback = await f.provider.browse(url, 'ann');
    const { connection, returnTo } = await org.asAdmin(() => f.oauth.finish(callback));
    expect(returnTo).toBe('/settings?tab=mail');
    expect(oauthConnectionSchema.parse(connection)).toMatchObject({
      provider: 'google',
      issuer: f.provider.issuer,
      userId: org.adminId,
      subject: 'ann',
      status: 'active',
      scopes: ['openid', 'email', 'mail.read'],
    });
    const [row] = await f.db.query<{ access_token: string; refresh_token: string; gmail: boolean }>(
      `select o.*, m.gmail_connected as gmail from tenantry.oauth_tokens o
       join tenantry.org_members m using (tenant_id, user_id) where tenant_id = $1`,
      [org.tenantId],
    );
    expect(row!.gmail).toBe(true);
    for (const secret of f.provider.secrets) expect(JSON.stringify(row)).not.toContain(secret);
    const token = await org.asAdmin(() => f.oauth.accessToken());
    expect(
      `${String(token.accessToken)} ${JSON.stringify(token)} ${inspect(token, { showHidden: true, depth: 9 })}`,
    ).not.toContain(token.accessToken.reveal());
    expect(f.provider.secrets).toContain(token.accessToken.reveal());
    expect(await org.asAdmin(() => f.oauth.list())).toEqual([connection]);
    const entries = await org.asAdmin(async () => (await f.audit.list()).items);
    expect(entries.map((e) => [e.action, e.details['provider']])).toEqual([['oauth.connected', 'google']]);
    // one's own, and nobody else's
    const other = await org.member();
    await org.as(other, async () => {
      expect(await f.oauth.list()).toEqual([]);
      await expect(f.oauth.accessToken()).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      expect(await f.kernel.query('select 1 from tenantry.oauth_tokens')).toEqual([]);
    });
  });

  it('asks the real Google for a refresh token, and nobody else over http', async () => {
    expect(google({ clientId: 'c', clientSecret: 's' }).issuer).toBe('https://accounts.google.com');
    const redirectUris = [f.provider.redirectUri];
    const with_ =
      (issuer: string, more: object = {}) =>
      () =>
        f.process({ redirectUris, providers: { p: { issuer, clientId: 'c', scopes: [], ...more } } });
    for (const issuer of [
      'http://idp.example.com',
      'http://127.0.0.1:1',
      'https://u:p@idp.example.com',
      'https://idp.example.com?x=1',
      'nonsense',
      'file:///etc/passwd',
    ])
      expect(with_(issuer), issuer).toThrow('oauth.providers.p.issuer');
    expect(with_('http://idp.example.com', { allowInsecure: true })).toThrow('oauth.providers.p.issuer');
    expect(() => f.process({ redirectUris: [] })).toThrow('oauth.redirectUris');
    expect(() => f.process({ redirectUris: ['javascript:alert(1)'] })).toThrow('oauth.redirectUris');
  });

  it('takes a callback once, from the user who began, in the organization where he began, in time', async () => {
    const org = await newOrganization(f);
    const other = await newOrganization(f);
    const colleague = await org.member();
    const begin = async () =>
      f.provider.browse((await org.asAdmin(() => f.oauth.connect({ provider: 'local' }))).url, 'ann');
    const callback = await begin();
    // mix-up: the callback is delivered to somebody else's session
    await org.as(colleague, () => expect(f.oauth.finish(callback)).rejects.toMatchObject(stateInvalid));
    await other.asAdmin(() => expect(f.oauth.finish(callback)).rejects.toMatchObject(stateInvalid));
    await withTenant({ tenantId: other.tenantId, userId: org.adminId }, () =>
      expect(f.oauth.finish(callback)).rejects.toMatchObject(stateInvalid),
    );
    // nobody but the user learns where it began
    expect(await withUser({ userId: org.adminId }, () => f.oauth.tenantOfState(callback))).toBe(org.tenantId);
    expect(await withUser({ userId: colleague }, () => f.oauth.tenantOfState(callback))).toBeNull();
    // twice at once: one is the first
    const results = await org.asAdmin(() => Promise.allSettled([f.oauth.finish(callback), f.oauth.finish(callback)]));
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    await org.asAdmin(async () => {
      await expect(f.oauth.finish(callback)).rejects.toMatchObject(stateInvalid);
      const late = await begin();
      await f.db.query(`update tenantry.oauth_states set expires_at = now() where tenant_id = $1`, [org.tenantId]);
      await expect(f.oauth.finish(late)).rejects.toMatchObject(stateInvalid);
      const twice = new URL(await begin());
      twice.searchParams.append('state', 'x');
      for (const bad of [
        twice.href,
        f.provider.redirectUri,
        `${f.provider.redirectUri}?state=${'x'.repeat(43)}&code=x`,
        'nonsense',
      ])
        await expect(f.oauth.finish(bad)).rejects.toMatchObject(stateInvalid);
    });
  });

  it('refuses a code that was swapped, and an answer of another issuer', async () => {
    const org = await newOrganization(f);
    const [mine, attackers] = [await newOrganization(f), org];
    const begin = async (o: typeof org, login: string) =>
      new URL(await f.provider.browse((await o.asAdmin(() => f.oauth.connect({ provider: 'local' }))).url, login));
    const [victim, attacker] = [await begin(mine, 'ann'), await begin(attackers, 'eve')];
    const injected = new URL(victim);
    injected.searchParams.set('code', attacker.searchParams.get('code')!);
    // PKCE: the attacker's code belongs to the attacker's verifier
    await expect(mine.asAdmin(() => f.oauth.finish(injected))).rejects.toMatchObject({
      code: 'TNT_OAUTH_REFUSED',
      details: { error: 'invalid_grant' },
    });
    const elsewhere = await begin(mine, 'ann');
    elsewhere.searchParams.set('iss', 'https://evil.example.com');
    await expect(mine.asAdmin(() => f.oauth.finish(elsewhere))).rejects.toMatchObject({ code: 'TNT_OAUTH_REFUSED' });
    expect(await mine.asAdmin(() => f.oauth.list())).toEqual([]);
  });

  it('tells when the user said no, and when the provider does not answer', async () => {
    const org = await newOrganization(f);
    await org.asAdmin(async () => {
      const { url } = await f.oauth.connect({ provider: 'local' });
      const callback = await f.provider.browse(url, 'ann', 'abort');
      await expect(f.oauth.finish(callback)).rejects.toMatchObject({
        code: 'TNT_OAUTH_REFUSED',
        details: { error: 'access_denied' },
      });
      const { oauth } = f.process();
      f.provider.faults.set('/.well-known/openid-configuration', 503);
      await expect(oauth.connect({ provider: 'local' })).rejects.toMatchObject({
        code: 'TNT_OAUTH_REFUSED',
        details: { status: 503 },
      });
      f.provider.faults.clear();
      await oauth.connect({ provider: 'local' }); // it is asked again
      await expect(f.oauth.connect({ provider: 'nobody' })).rejects.toMatchObject({
        code: 'TNT_OAUTH_PROVIDER_UNKNOWN',
      });
    });
  });

  it('sends users to paths of this site and configured addresses alone (open redirect)', async () => {
    const org = await newOrganization(f);
    await org.asAdmin(async () => {
      for (const returnTo of [
        'https://evil.example.com',
        '//evil.example.com',
        '/\\evil.example.com',
        '/\t/evil.example.com',
        'evil',
        '',
        '/a\nb',
        'javascript:alert(1)',
      ])
        await expect(f.oauth.connect({ provider: 'local', returnTo }), returnTo).rejects.toMatchObject({
          code: 'TNT_INPUT_INVALID',
        });
      await expect(
        f.oauth.connect({ provider: 'local', redirectUri: 'https://evil.example.com' }),
      ).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      for (const name of ['redirect_uri', 'state', 'nonce', 'code_challenge', 'request_uri', 'response_mode'])
        await expect(f.oauth.connect({ provider: 'local', parameters: { [name]: 'x' } })).rejects.toMatchObject({
          code: 'TNT_INPUT_INVALID',
        });
      const { url } = await f.oauth.connect({
        provider: 'local',
        returnTo: '/a?b=//c',
        parameters: { login_hint: 'ann' },
      });
      expect(new URL(url).searchParams.get('login_hint')).toBe('ann');
    });
    const stranger = await newUser(f);
    await expect(org.as(stranger, () => f.oauth.connect({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
  });
});

/** Ends the backend that holds a row lock while the provider is asked. */
async function cutOneWhoWaits(): Promise<void> {
  const superuser = new pg.Client({ connectionString: f.db.superuserUrl });
  await superuser.connect();
  try {
    for (let tries = 0; tries < 100; tries += 1) {
      const { rowCount } = await superuser.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'oauth-process' and datname = current_database() and state = 'idle in transaction'`,
      );
      if (rowCount! > 0) return;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error('nobody held a transaction open');
  } finally {
    await superuser.end();
  }
}

describe('A9: access tokens', () => {
  it('are used until shortly before they expire, then refreshed; the old refresh token stays when there is no new one', async () => {
    const org = await connected(f);
    await org.asAdmin(async () => {
      const first = await f.oauth.accessToken({ provider: 'local' });
      expect(await callsDuring(f.provider, '/token', () => f.oauth.accessToken({ provider: 'local' }))).toBe(0);
      await age(f, org, 200);
      const second = await f.oauth.accessToken({ provider: 'local' });
      expect(second.accessToken.reveal()).not.toBe(first.accessToken.reveal());
      expect(second.expiresAt.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
      await age(f, org, -10);
      expect((await f.oauth.accessToken({ provider: 'local' })).accessToken.reveal()).not.toBe(
        second.accessToken.reveal(),
      );
      expect(await f.oauth.get({ provider: 'local' })).toMatchObject({
        status: 'active',
        scopes: ['openid', 'offline_access', 'mail.read'],
      });
      expect(await callsDuring(f.provider, '/token', () => f.oauth.refresh({ provider: 'local' }))).toBe(1);
    });
    // both ciphertexts name one data key, whichever of them is new
    const [row] = await f.db.query<{ a: string; r: string; k: number }>(
      `select split_part(access_token, '.', 2) as a, split_part(refresh_token, '.', 2) as r, data_key as k from tenantry.oauth_tokens where tenant_id = $1`,
      [org.tenantId],
    );
    expect(row).toEqual({ a: '1', r: '1', k: 1 });
  });

  it('are fetched once for fifty who ask at once, over several pools, expired or not', async () => {
    f.provider.rotate = true;
    const processes = [f.process(), f.process(), f.process({}, 1)];
    for (const secondsLeft of [-5, 100]) {
      const org = await connected(f);
      await age(f, org, secondsLeft);
      f.provider.delayMs = 150;
      const tokens: string[] = [];
      const calls = await callsDuring(f.provider, '/token', () =>
        org.asAdmin(async () => {
          await Promise.all(
            Array.from({ length: 50 }, async (_, i) => {
              const { accessToken } = await processes[i % 3]!.oauth.accessToken({ provider: 'local' });
              tokens.push(accessToken.reveal());
            }),
          );
        }),
      );
      f.provider.delayMs = 0;
      expect(calls).toBe(1);
      expect(tokens).toHaveLength(50);
      if (secondsLeft < 0) expect(new Set(tokens).size).toBe(1);
      // and what was rotated was kept
      await age(f, org, -5);
      await org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }));
    }
  });

  it('stay in use while the provider fails, as long as they are good; then it is said, and asked again later', async () => {
    const org = await connected(f);
    await org.asAdmin(async () => {
      const first = await f.oauth.accessToken({ provider: 'local' });
      const hasty = f.process({ timeoutSeconds: 0.3 }).oauth;
      await hasty.accessToken({ provider: 'local' });
      for (const [fault, oauth] of [
        ['cut', f.oauth],
        [500, f.oauth],
        [429, f.oauth],
        ['hang', hasty],
      ] as const) {
        await age(f, org, 100);
        f.provider.faults.set('/token', fault);
        if (fault === 'hang') await hasty.connect({ provider: 'local' }); // the provider's configuration is known by then
        expect((await oauth.accessToken({ provider: 'local' })).accessToken.reveal()).toBe(first.accessToken.reveal());
        // the provider is left alone for a while
        expect(await callsDuring(f.provider, '/token', () => f.oauth.accessToken({ provider: 'local' }))).toBe(0);
      }
      expect(await f.oauth.get({ provider: 'local' })).toMatchObject({
        failures: 4,
        failure: 'timeout',
        status: 'active',
      });
      await age(f, org, -1);
      await f.provider.down();
      await expect(f.oauth.accessToken({ provider: 'local' })).rejects.toMatchObject({
        code: 'TNT_OAUTH_UNAVAILABLE',
        details: { provider: 'local', reason: 'unreachable', retryAt: expect.any(String) as string },
      });
      await expect(f.oauth.accessToken({ provider: 'local' })).rejects.toMatchObject({ code: 'TNT_OAUTH_UNAVAILABLE' });
      f.provider.faults.clear();
      await f.provider.up();
      await age(f, org, -1);
      await f.oauth.accessToken({ provider: 'local' });
      expect(await f.oauth.get({ provider: 'local' })).toMatchObject({ failures: 0, failure: null, retryAt: null });
    });
  });

  it('need consent after invalid_grant: one event, no further call, and a new consent heals it', async () => {
    const org = await connected(f, { provider: 'google' });
    await f.provider.revokeAll();
    await age(f, org, -1);
    await org.asAdmin(async () => {
      const consent = { code: 'TNT_OAUTH_CONSENT_NEEDED', details: { provider: 'google', reason: 'invalid_grant' } };
      const results = await Promise.allSettled(Array.from({ length: 5 }, () => f.oauth.accessToken()));
      for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: consent });
      expect(
        await callsDuring(f.provider, '/token', () => expect(f.oauth.accessToken()).rejects.toMatchObject(consent)),
      ).toBe(0);
      expect(await f.oauth.get()).toMatchObject({ status: 'needs_consent', failure: 'invalid_grant' });
    });
    const events = await f.db.query<{ payload: object }>(
      `select payload from tenantry.outbox where tenant_id = $1 and topic = 'oauth.needs_consent'`,
      [org.tenantId],
    );
    expect(events.map(({ payload }) => payload)).toMatchObject([
      { provider: 'google', userId: org.adminId, reason: 'invalid_grant' },
    ]);
    const gmail = () =>
      f.db.query('select gmail_connected as gmail from tenantry.org_members where tenant_id = $1', [org.tenantId]);
    expect(await gmail()).toEqual([{ gmail: false }]);
    await connect(f, org, { provider: 'google' });
    expect(await gmail()).toEqual([{ gmail: true }]);
    await org.asAdmin(() => f.oauth.accessToken());
  });

  it('lose nothing when the connection to the database dies while the provider answers: it has rotated, and is asked once', async () => {
    f.provider.rotate = true;
    const { oauth, pool } = f.process();
    const org = await connected(f, { oauth });
    await age(f, org, -1);
    f.provider.delayMs = 400;
    const calls = await callsDuring(f.provider, '/token', async () => {
      const token = org.asAdmin(() => oauth.accessToken({ provider: 'local' }));
      await cutOneWhoWaits();
      await token;
    });
    expect(calls).toBe(1);
    expect(pool.totalCount).toBeGreaterThan(0);
    await age(f, org, -1);
    await org.asAdmin(() => f.oauth.accessToken({ provider: 'local' })); // the rotated one was kept
  });

  it('after invalid_grant take what somebody else has stored meanwhile', async () => {
    f.provider.rotate = true;
    const { oauth } = f.process();
    const org = await connected(f, { oauth });
    const [before] = await f.db.query<{ refresh_token: string }>(
      'select * from tenantry.oauth_tokens where tenant_id = $1',
      [org.tenantId],
    );
    await age(f, org, -1);
    await org.asAdmin(() => f.oauth.refresh({ provider: 'local' }));
    const [after] = await f.db.query<{ access_token: string; refresh_token: string }>(
      'select * from tenantry.oauth_tokens where tenant_id = $1',
      [org.tenantId],
    );
    // a process that still holds the old refresh token, whose lock was lost: the provider refuses it, and the row has moved on
    await f.db.query('update tenantry.oauth_tokens set refresh_token = $2, expires_at = now() where tenant_id = $1', [
      org.tenantId,
      before!.refresh_token,
    ]);
    f.provider.delayMs = 400;
    const token = org.asAdmin(() => oauth.accessToken({ provider: 'local' }));
    await cutOneWhoWaits();
    await f.db.query(
      `update tenantry.oauth_tokens set refresh_token = $2, expires_at = now() + interval '1 hour' where tenant_id = $1`,
      [org.tenantId, after!.refresh_token],
    );
    await token;
    expect(await org.asAdmin(() => oauth.get({ provider: 'local' }))).toMatchObject({ status: 'active' });
  });

  it('that were lost with their answer need consent: the provider has rotated and takes the old one no longer', async () => {
    f.provider.rotate = true;
    const org = await connected(f);
    await age(f, org, -1);
    f.provider.faults.set('/token', 'lost answer');
    await expect(org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_UNAVAILABLE',
    });
    f.provider.faults.clear();
    await age(f, org, -1);
    await expect(org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_CONSENT_NEEDED',
    });
  });
});

describe('A9: disconnecting', () => {
  it('deletes the tokens and revokes them at the provider', async () => {
    const org = await connected(f, { provider: 'google' });
    const { accessToken } = await org.asAdmin(() => f.oauth.accessToken());
    await org.asAdmin(async () => {
      expect(await f.oauth.disconnect()).toBe('revoked');
      expect(await f.oauth.disconnect()).toBeNull();
      expect(await f.oauth.get()).toBeNull();
    });
    expect(f.provider.calls.get('/token/revocation')).toBeGreaterThan(0);
    const answer = await fetch(`${f.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${accessToken.reveal()}` },
    });
    expect(answer.status).toBe(401);
    expect(
      await f.db.query(
        'select 1 from tenantry.oauth_tokens where tenant_id = $1 union all select 1 from tenantry.oauth_revocations where tenant_id = $1',
        [org.tenantId],
      ),
    ).toEqual([]);
    expect(
      await f.db.query('select gmail_connected from tenantry.org_members where tenant_id = $1', [org.tenantId]),
    ).toEqual([{ gmail_connected: false }]);
    const entries = await org.asAdmin(async () => (await f.audit.list()).items);
    expect(entries.map((e) => e.action)).toEqual(['oauth.disconnected', 'oauth.connected']);
  });

  it('outlives a provider that is down: gone here at once, revoked there when it is back', async () => {
    const org = await connected(f);
    const { accessToken } = await org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }));
    f.provider.faults.set('/token/revocation', 503);
    expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    expect(await org.asAdmin(() => f.oauth.list())).toEqual([]);
    const due = () =>
      f.db.query<{ attempts: number; failure: string; due: boolean }>(
        'select attempts, failure, next_attempt_at <= now() as due from tenantry.oauth_revocations where tenant_id = $1',
        [org.tenantId],
      );
    expect(await due()).toEqual([{ attempts: 1, failure: 'server_error', due: false }]);
    const makeDue = () => f.db.query('update tenantry.oauth_revocations set next_attempt_at = now()');
    await makeDue();
    expect(await f.oauth.maintain()).toMatchObject({ revoked: 0, pending: 1 });
    f.provider.faults.clear();
    expect(await f.oauth.maintain()).toMatchObject({ revoked: 0, pending: 0 });
    await makeDue();
    expect(await f.oauth.maintain()).toMatchObject({ revoked: 1, pending: 0 });
    expect(await due()).toEqual([]);
    const answer = await fetch(`${f.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${accessToken.reveal()}` },
    });
    expect(answer.status).toBe(401);
  });

  it('keeps idle connections alive and forgets what was never finished (maintenance)', async () => {
    const org = await connected(f);
    await org.asAdmin(() => f.oauth.connect({ provider: 'local' }));
    await f.db.query(`update tenantry.oauth_states set expires_at = now() where tenant_id = $1`, [org.tenantId]);
    await f.db.query(
      `update tenantry.oauth_tokens set connected_at = now() - interval '8 days', refreshed_at = null, expires_at = now() - interval '7 days' where tenant_id = $1`,
      [org.tenantId],
    );
    expect(await f.oauth.maintain()).toMatchObject({ refreshed: 1, failed: 0 });
    expect(await f.db.query('select 1 from tenantry.oauth_states where tenant_id = $1', [org.tenantId])).toEqual([]);
    expect(await f.oauth.maintain()).toMatchObject({ refreshed: 0, failed: 0, statesForgotten: 0 });
    await f.db.query(
      `update tenantry.oauth_tokens set refreshed_at = now() - interval '8 days', expires_at = now() - interval '7 days' where tenant_id = $1`,
      [org.tenantId],
    );
    f.provider.faults.set('/token', 503);
    expect(await f.oauth.maintain()).toMatchObject({ refreshed: 0, failed: 1 });
    expect(await f.oauth.maintain()).toMatchObject({ refreshed: 0, failed: 0 }); // left alone for a while
  });

  it('everything goes with the membership and with the organization', async () => {
    const org = await newOrganization(f);
    const userId = await org.member();
    const { url } = await org.as(userId, () => f.oauth.connect({ provider: 'local' }));
    const callback = await f.provider.browse(url, 'bob');
    await org.as(userId, () => f.oauth.finish(callback));
    await org.as(userId, () => f.oauth.connect({ provider: 'local' }));
    await org.asAdmin(() => f.members.delete(userId));
    const left = () =>
      f.db.query(
        `select 1 from tenantry.oauth_tokens where tenant_id = $1 union all select 1 from tenantry.oauth_states where tenant_id = $1`,
        [org.tenantId],
      );
    expect(await left()).toEqual([]);
    await connect(f, org);
    await org.asAdmin(() => f.organizations.delete(org.tenantId));
    expect(await left()).toEqual([]);
  });
});
