import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, tenantry } from '../support/command-line.ts';
import { connected, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
const folder = mkdtempSync(join(tmpdir(), 'tenantry-maintain-'));
const file = join(folder, 'tenantry.config.json');
afterEach(() => f.provider.faults.clear());
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  const { issuer, clientId, clientSecret, redirectUri } = f.provider;
  const local = { issuer, clientId, clientSecret, allowInsecure: true, scopes: ['openid', 'offline_access'] };
  writeFileSync(
    file,
    JSON.stringify({
      databaseUrl: f.db.appUrl,
      adminUrl: f.db.adminUrl,
      operatorUrl: f.db.operatorUrl,
      oauth: { providers: { local }, redirectUris: [redirectUri], timeoutSeconds: 2 },
    }),
  );
});

const maintain = (...more: string[]): Promise<CommandResult> =>
  tenantry(['vault', 'maintain', '--config', file, ...more], {
    TENANTRY_VAULT_KEYS: `k1:${Buffer.from(f.keyBytes).toString('base64')}`,
  });
const nothing = { revoked: 0, pending: 0, refreshed: 0, failed: 0, statesForgotten: 0 };
/** Nobody used the connection for this many days. */
const idle = (tenantId: string, days: number): Promise<unknown> =>
  f.db.query(
    `update tenantry.oauth_tokens set connected_at = now() - make_interval(days => $2::int), refreshed_at = null, retry_at = null,
       expires_at = now() - interval '1 hour' where tenant_id = $1::uuid`,
    [tenantId, days],
  );

describe('A9: tenantry vault maintain', () => {
  it('gives idle connections new tokens, and says when one got none', async () => {
    const org = await connected(f);
    expect(JSON.parse((await maintain('--json')).out)).toEqual(nothing);
    await idle(org.tenantId, 8);
    f.provider.faults.set('/token', 503);
    const failed = await maintain('--json');
    expect(failed).toMatchObject({ code: 3 });
    expect(JSON.parse(failed.out)).toEqual({ ...nothing, failed: 1 });
    f.provider.faults.clear();
    await idle(org.tenantId, 8);
    expect(await maintain('--keep-alive', '9')).toMatchObject({ code: 0, out: expect.stringContaining('0 idle') });
    expect(await maintain()).toMatchObject({ code: 0, out: expect.stringContaining('1 idle connections have new') });
    const { accessToken } = await org.asAdmin(() => f.oauth.accessToken({ provider: 'local' }));
    const answer = await fetch(`${f.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${accessToken.reveal()}` },
    });
    expect(answer.status).toBe(200);
  });

  it('revokes what the provider did not take before', async () => {
    const org = await connected(f);
    f.provider.faults.set('/token/revocation', 503);
    expect(await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }))).toBe('pending');
    const due = (): Promise<unknown> => f.db.query('update tenantry.oauth_revocations set next_attempt_at = now()');
    await due();
    expect(await maintain()).toMatchObject({
      code: 3,
      out: expect.stringContaining('0 revocations came through, 1 wait'),
    });
    f.provider.faults.clear();
    await due();
    expect(await maintain()).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 revocations came through, 0 wait'),
    });
  });

  it('is not stopped by a note that does not open, nor by connections whose provider is gone', async () => {
    const [damaged, whole, orphan, alive] = [
      await connected(f),
      await connected(f),
      await connected(f),
      await connected(f),
    ];
    f.provider.faults.set('/token/revocation', 503);
    for (const org of [damaged, whole]) await org.asAdmin(() => f.oauth.disconnect({ provider: 'local' }));
    f.provider.faults.clear();
    // another organization's: it does not open here
    await f.db.query(
      `update tenantry.oauth_revocations r set next_attempt_at = now() - interval '1 day',
         token = (select o.token from tenantry.oauth_revocations o where o.tenant_id = $2) where r.tenant_id = $1`,
      [damaged.tenantId, whole.tenantId],
    );
    await f.db.query('update tenantry.oauth_revocations set next_attempt_at = now() where tenant_id = $1', [
      whole.tenantId,
    ]);
    await f.db.query(`update tenantry.oauth_tokens set provider = 'gone' where tenant_id = $1`, [orphan.tenantId]);
    for (const org of [orphan, alive]) await idle(org.tenantId, 8);
    expect(JSON.parse((await maintain('--json')).out)).toEqual({ ...nothing, revoked: 2, refreshed: 1, failed: 1 });
    expect(await f.db.query('select 1 from tenantry.oauth_revocations')).toEqual([]);
  });

  it('says what is missing, and takes no nonsense', async () => {
    expect(await maintain('--limit', '0')).toMatchObject({ code: 2 });
    const without = await tenantry(['vault', 'maintain', '--database-url', f.db.adminUrl]);
    expect(without).toMatchObject({ code: 2, err: expect.stringContaining('oauth: there are no providers') });
    expect((await tenantry(['vault', 'maintain', '--help'])).out).toContain('tenantry vault maintain --keep-alive');
  });
});
