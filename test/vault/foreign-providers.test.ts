import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { guardedFetch, isPublicAddress } from '../../src/vault/oauth/guarded-fetch.ts';
import { oauthProviderSchema } from '../../src/vault/index.ts';
import { newOrganization } from '../directory/fixture.ts';
import { age, connect, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});
async function serve(handler: RequestListener): Promise<{ url: string; calls: string[] }> {
  const calls: string[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => {
      calls.push(`${req.method} ${req.url} ${body}`);
      handler(req, res);
    });
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}
const trusting = { tenantProviders: { allowPrivateAddresses: true, allowInsecure: true } };

describe('OpenID providers that an organization brings along', () => {
  it('are kept by those with oauth.write, used by every member, and are nobody else’s', async () => {
    const { oauth } = f.process(trusting);
    const [org, other] = [await newOrganization(f), await newOrganization(f)];
    const { issuer, clientId, clientSecret } = f.provider;
    const input = { name: 'own', issuer, clientId, clientSecret, scopes: ['openid', 'offline_access'] };
    const made = await org.asAdmin(() => oauth.providers.put(input));
    expect(oauthProviderSchema.parse(made)).toMatchObject({ name: 'own', issuer });
    expect(await f.db.query('select client_secret from tenantry.oauth_providers')).not.toMatchObject([
      { client_secret: clientSecret },
    ]);
    expect(await org.asAdmin(() => oauth.providers.put({ ...input, scopes: ['openid'] }))).toMatchObject({
      id: made.id,
      scopes: ['openid'],
    });
    const member = await org.member();
    const forbidden = { code: 'TNT_FORBIDDEN' };
    await org.as(member, async () => {
      await expect(oauth.providers.put({ ...input, name: 'x' })).rejects.toMatchObject(forbidden);
      await expect(oauth.providers.put(input)).rejects.toMatchObject(forbidden);
      await expect(oauth.providers.delete('own')).rejects.toMatchObject(forbidden);
      expect((await oauth.providers.list()).map(({ name }) => name)).toEqual(['own']);
    });
    await expect(org.asAdmin(() => oauth.providers.put({ ...input, name: 'google' }))).rejects.toMatchObject({
      code: 'TNT_CONFLICT',
    });
    await expect(other.asAdmin(() => oauth.connect({ provider: 'own' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_PROVIDER_UNKNOWN',
    });
    await connect(f, org, { provider: 'own', oauth });
    await age(f, org, -1);
    await org.asAdmin(async () => {
      await oauth.accessToken({ provider: 'own' });
      expect(await oauth.disconnect({ provider: 'own' })).toBe('revoked');
    });
    // an installation that does not trust such addresses asks them neither for tokens nor for a revocation
    const wary = f.process({ tenantProviders: { allowInsecure: true } }).oauth;
    await connect(f, org, { provider: 'own', oauth });
    await age(f, org, -1);
    await org.asAdmin(async () => {
      await expect(wary.accessToken({ provider: 'own' })).rejects.toMatchObject({
        code: 'TNT_OAUTH_UNAVAILABLE',
        details: { reason: 'address_refused' },
      });
      expect(await wary.disconnect({ provider: 'own' })).toBe('pending');
      expect(await oauth.providers.delete('own')).toMatchObject({ id: made.id });
      expect(await oauth.providers.delete('own')).toBeNull();
    });
  });

  it('get no token of the issuer before, when somebody points the name to another one', async () => {
    const { oauth } = f.process(trusting);
    const evil = await serve((_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
    const org = await newOrganization(f);
    const { issuer, clientId, clientSecret } = f.provider;
    const input = { name: 'own', issuer, clientId, clientSecret };
    await org.asAdmin(() => oauth.providers.put(input));
    await connect(f, org, { provider: 'own', oauth });
    const { url } = await org.asAdmin(() => oauth.connect({ provider: 'own' }));
    const begun = await f.provider.browse(url, 'ann');
    await org.asAdmin(() => oauth.providers.put({ ...input, issuer: evil.url }));
    await age(f, org, -1);
    await org.asAdmin(async () => {
      await expect(oauth.finish(begun)).rejects.toMatchObject({ code: 'TNT_OAUTH_STATE_INVALID' });
      await expect(oauth.accessToken({ provider: 'own' })).rejects.toMatchObject({
        code: 'TNT_OAUTH_CONSENT_NEEDED',
        details: { reason: 'issuer_changed' },
      });
      expect(await oauth.disconnect({ provider: 'own' })).toBe('unsupported');
    });
    expect(evil.calls).toEqual([]);
  });

  it('are never fetched from private addresses, over http, or around a corner (server-side request forgery)', async () => {
    const { oauth } = f.process();
    const org = await newOrganization(f);
    const put = (issuer: string) =>
      org.asAdmin(() => oauth.providers.put({ name: 'own', issuer, clientId: 'c', clientSecret: '' }));
    const refused = { code: 'TNT_OAUTH_ADDRESS_REFUSED' };
    for (const issuer of [
      f.provider.issuer,
      'http://idp.example.com',
      'file:///etc/passwd',
      'https://user:pw@idp.example.com',
      'https://idp.example.com/?q',
    ])
      await expect(put(issuer), issuer).rejects.toMatchObject(refused);
    for (const host of [
      'localhost',
      '127.0.0.1',
      '[::1]',
      '10.0.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '[::ffff:127.0.0.1]',
      '2130706433',
      '0x7f.1',
      '0',
      '100.64.0.1',
      '[fd00::1]',
      '[64:ff9b::7f00:1]',
    ]) {
      await put(`https://${host}:9`);
      await expect(
        org.asAdmin(() => oauth.connect({ provider: 'own' })),
        host,
      ).rejects.toMatchObject(refused);
    }
    // by a redirect, and by what the discovery document names
    const inside = await serve((_req, res) => res.end('secret of the inside'));
    const turning = await serve((_req, res) => res.writeHead(302, { location: inside.url }).end());
    const trusted = f.process(trusting).oauth;
    await put('https://idp.example.com');
    await f.db.query('update tenantry.oauth_providers set issuer = $2 where tenant_id = $1', [
      org.tenantId,
      turning.url,
    ]);
    await expect(org.asAdmin(() => trusted.connect({ provider: 'own' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_REFUSED',
    });
    const naming = await serve((_req, res) =>
      res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ issuer: naming.url, authorization_endpoint: 'javascript:alert(1)' })),
    );
    await f.db.query('update tenantry.oauth_providers set issuer = $2 where tenant_id = $1', [
      org.tenantId,
      naming.url,
    ]);
    await expect(org.asAdmin(() => trusted.connect({ provider: 'own' }))).rejects.toMatchObject({
      code: 'TNT_OAUTH_REFUSED',
    });
    expect([turning.calls.length, naming.calls.length, inside.calls.length]).toEqual([1, 1, 0]);
  });

  it('cannot make a request without end, and the address that was checked is the one that is used', async () => {
    const endless = await serve((_req, res) => {
      const timer = setInterval(() => res.write('x'.repeat(100_000)), 1);
      res.on('close', () => clearInterval(timer));
    });
    const open = guardedFetch({ allowPrivateAddresses: true, allowInsecure: true });
    await expect(open(endless.url, { method: 'GET', headers: {} })).rejects.toMatchObject({
      code: 'TNT_OAUTH_REFUSED',
    });
    const guarded = guardedFetch({ allowPrivateAddresses: false, allowInsecure: true });
    for (const url of [endless.url, endless.url.replace('127.0.0.1', 'localhost')])
      await expect(guarded(url, { method: 'GET', headers: {} }), url).rejects.toMatchObject({
        code: 'TNT_OAUTH_ADDRESS_REFUSED',
      });
    expect(endless.calls).toHaveLength(1);
    const publicOnes = ['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '172.32.0.1', '192.167.255.255'];
    const others = [
      '0.0.0.0',
      '127.255.255.255',
      '172.31.0.1',
      '255.255.255.255',
      '224.0.0.1',
      '198.19.0.1',
      '::',
      '::1',
      'fe80::1',
      'fc00::1',
      'ff02::1',
      '::ffff:8.8.8.8',
      '2002:7f00:1::',
      '2001::1',
      '2001:db8::1',
      'example.com',
      '',
    ];
    expect(publicOnes.filter(isPublicAddress)).toEqual(publicOnes);
    expect(others.filter(isPublicAddress)).toEqual([]);
  });
});
