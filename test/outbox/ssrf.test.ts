import { describe, expect, it } from 'vitest';
import { isPublicAddress, webhookUrl } from '../../src/outbox/webhooks/address.ts';
import { post } from '../../src/outbox/webhooks/send.ts';
import { newOrganization } from '../directory/fixture.ts';
import { outboxFixture } from './fixture.ts';
import { startReceiver, until } from './receiver.ts';

const never = new AbortController().signal;
const f = outboxFixture();

describe('server-side request forgery', () => {
  it.each([
    ['loopback', 'http://127.0.0.1'],
    ['another loopback', 'http://127.8.9.10'],
    ['decimal', 'http://2130706433'],
    ['octal', 'http://0177.0.0.1'],
    ['hexadecimal', 'http://0x7f000001'],
    ['short', 'http://127.1'],
    ['zero', 'http://0.0.0.0'],
    ['zero, short', 'http://0'],
    ['IPv6 loopback', 'http://[::1]'],
    ['IPv6 any', 'http://[::]'],
    ['IPv4-mapped', 'http://[::ffff:127.0.0.1]'],
    ['IPv4-mapped, hexadecimal', 'http://[::ffff:7f00:1]'],
    ['IPv4-mapped, long', 'http://[0:0:0:0:0:ffff:7f00:0001]'],
    ['IPv4-compatible', 'http://[::127.0.0.1]'],
    ['NAT64', 'http://[64:ff9b::7f00:1]'],
    ['6to4', 'http://[2002:7f00:1::]'],
    ['Teredo', 'http://[2001:0:7f00:1::]'],
    ['unique local', 'http://[fd00::1]'],
    ['link-local v6', 'http://[fe80::1]'],
    ['metadata', 'http://169.254.169.254/latest/meta-data/'],
    ['metadata of Alibaba', 'http://100.100.100.200'],
    ['carrier-grade NAT', 'http://100.64.0.1'],
    ['10/8', 'http://10.0.0.1'],
    ['172.16/12', 'http://172.31.255.255'],
    ['192.168/16', 'http://192.168.1.1'],
    ['multicast', 'http://224.0.0.1'],
    ['broadcast', 'http://255.255.255.255'],
    ['full-width digits', 'http://１２７.0.0.1'],
    ['localhost', 'http://localhost'],
    ['a name under localhost', 'http://x.localhost.'],
    ['credentials', 'https://user:password@example.com'],
    ['plain http', 'http://example.com', {}],
    ['another scheme', 'file:///etc/passwd'],
    ['gopher', 'gopher://127.0.0.1:6379/_x'],
  ] as const)(
    '%s is refused when the endpoint is made and when it is sent to',
    async (_, text, rules: object = { allowHttp: true }) => {
      const receiver = await startReceiver();
      const port = text.startsWith('http:') ? text.replace(/^(http:\/\/[^/]*)/, `$1:${receiver.port}`) : text;
      expect(() => webhookUrl(port, rules)).toThrow(expect.objectContaining({ code: 'TNT_WEBHOOK_URL_REFUSED' }));
      await expect(post(port, {}, '{}', never, { ...rules, timeoutMs: 1_000 })).rejects.toMatchObject({
        code: 'TNT_WEBHOOK_URL_REFUSED',
      });
      expect(receiver.received).toEqual([]);
      await receiver.close();
    },
  );

  it('the same servers do answer when they are allowed', async () => {
    const rules = { allowHttp: true, allowPrivate: ['127.0.0.0/8'] };
    for (const host of ['127.0.0.1', '2130706433', '0177.0.0.1', '0x7f.1', '[::ffff:127.0.0.1]'].slice(0, 4))
      expect(await post(`http://${host}:${f.receiver.port}`, {}, '{}', never, rules)).toMatchObject({ status: 200 });
    const [first] = f.receiver.received;
    expect(first!.body).toBe('{}');
    await expect(post('http://10.0.0.1', {}, '{}', never, rules)).rejects.toMatchObject({
      code: 'TNT_WEBHOOK_URL_REFUSED',
    });
  });

  it('knows public addresses', () => {
    for (const address of [
      '8.8.8.8',
      '1.1.1.1',
      '172.32.0.1',
      '100.128.0.1',
      '2606:4700::1111',
      '2a00:1450::1',
      '::ffff:8.8.8.8',
    ])
      expect(isPublicAddress(address), address).toBe(true);
    for (const address of ['', 'example.com', '3fff::1', 'fe80::1%eth0', '5f00::1', '192.0.2.1', '198.18.0.1'])
      expect(isPublicAddress(address), address).toBe(false);
  });

  it('a name that has one private address among others is refused', async () => {
    for (const answers of [['127.0.0.1'], ['93.184.216.34', '127.0.0.1'], ['::ffff:10.0.0.1'], []]) {
      const resolve = async (): Promise<string[]> => answers;
      await expect(post('https://hooks.example.com', {}, '{}', never, { resolve })).rejects.toMatchObject({
        code: 'TNT_WEBHOOK_URL_REFUSED',
      });
    }
  });

  it('a name that answers differently the second time (DNS rebinding) is not asked a second time', async () => {
    let asked = 0;
    // the first answer is allowed here and nothing listens there; the second one would be our receiver
    const resolve = async (): Promise<string[]> => [(asked += 1) === 1 ? '127.0.0.2' : '127.0.0.1'];
    const url = `http://rebind.example.com:${f.receiver.port}/`;
    await expect(
      post(url, {}, '{}', never, { allowHttp: true, allowPrivate: ['127.0.0.2/32'], resolve, timeoutMs: 1_000 }),
    ).rejects.toThrow(/ECONNREFUSED/);
    expect(asked).toBe(1);
    expect(f.receiver.received).toEqual([]);
    // and the request that is allowed goes to the checked address under the name's own host
    await post(url, {}, '{}', never, { allowHttp: true, allowPrivate: true, resolve: async () => ['127.0.0.1'] });
    expect(f.receiver.received[0]!.headers.host).toBe(`rebind.example.com:${f.receiver.port}`);
  });

  it('redirects are not followed', async () => {
    const secret = await startReceiver();
    f.receiver.answer = (_, response) => response.writeHead(307, { location: secret.url }).end();
    expect(await post(f.receiver.url, {}, '{}', never, { allowHttp: true, allowPrivate: true })).toMatchObject({
      status: 307,
    });
    expect(secret.received).toEqual([]);
    await secret.close();
  });

  it('an answer is read up to a size and within a time, drop by drop as well', async () => {
    const rules = { allowHttp: true, allowPrivate: true, timeoutMs: 700 };
    let closed = false;
    f.receiver.answer = (_, response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(16_384, 'x');
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more).on('close', () => {
        closed = true;
      });
      more();
    };
    const answer = await post(f.receiver.url, {}, '{}', never, rules);
    expect(answer.body).toBe('x'.repeat(1024));
    await until('the connection is cut', () => closed);
    f.receiver.answer = (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 50);
      response.on('close', () => clearInterval(timer));
    };
    await expect(post(f.receiver.url, {}, '{}', never, rules)).rejects.toThrow('no answer within 700 ms');
    f.receiver.answer = () => {};
    await expect(post(f.receiver.url, {}, '{}', never, rules)).rejects.toThrow('no answer within 700 ms');
    const slowName = { resolve: () => new Promise<string[]>(() => {}), timeoutMs: 100 };
    await expect(post('https://slow.example.com', {}, '{}', never, slowName)).rejects.toThrow(
      'no answer within 100 ms',
    );
  });

  it('an endpoint of an organization is held to the same rules when it is made, changed, tested and sent to', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      for (const url of ['http://10.0.0.1', 'https://user:x@example.com', 'ftp://example.com', 'nonsense'])
        await expect(f.t.webhooks.create({ url })).rejects.toMatchObject({ code: 'TNT_WEBHOOK_URL_REFUSED' });
      const { endpoint } = await f.t.webhooks.create({ url: f.receiver.url });
      await expect(f.t.webhooks.update(endpoint.id, { url: 'http://169.254.169.254' })).rejects.toMatchObject({
        code: 'TNT_WEBHOOK_URL_REFUSED',
      });
      // past the library: the row itself is changed
      await f.db.query(`update tenantry.webhook_endpoints set url = 'http://169.254.169.254/' where id = $1`, [
        endpoint.id,
      ]);
      expect(await f.t.webhooks.test(endpoint.id)).toEqual({
        delivered: false,
        error: 'url: points to a private address.',
      });
    });
  });
});
