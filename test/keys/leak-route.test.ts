import { createHmac, randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLeakHandler, sharedSecretReporter } from '../../src/keys/index.ts';
import { verifyWebhook } from '../../src/outbox/index.ts';
import { createTenantry, type Tenantry } from '../../src/tenantry.ts';
import { createKeyring } from '../../src/vault/index.ts';
import { type Receiver, startReceiver, until } from '../outbox/receiver.ts';
import { keysFixture, newCustomer, pepper, refusalOf } from './fixture.ts';

const f = keysFixture();
const shared = 'a secret that the reporter shares';
let t: Tenantry;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
  t = createTenantry({
    pool: f.pool,
    keys: { peppers: pepper },
    vault: { keyring: createKeyring([{ id: 'k1', key: randomBytes(32) }]) },
    webhooks: { allowHttp: true, allowPrivate: ['127.0.0.1'] },
  });
});
afterAll(async () => {
  await t?.close();
  await receiver?.close();
});

describe('the report of a scanner', () => {
  it('revokes the key, here and in another process, and tells its owner by webhook, and no other organization', async () => {
    const [a, b] = [await newCustomer({ t }), await newCustomer({ t })];
    const { key, apiKey } = await a.asAdmin(() => t.keys.create({ name: 'Server', namespaceId: a.namespaceId }));
    const { key: untouched } = await b.asAdmin(() => t.keys.create({ name: 'Server' }));
    const { secret } = await a.asAdmin(() => t.webhooks.create({ url: receiver.url, topics: ['key.*'] }));
    await b.asAdmin(() => t.webhooks.create({ url: `${receiver.url}-of-b`, topics: ['key.*'] }));
    for (const text of [key, untouched]) await f.t.keys.verify(text);

    const app = new Hono();
    const leaks = createLeakHandler({ keys: t.keys, authenticate: sharedSecretReporter('scanner', shared) });
    app.post('/leaks', async (c) => {
      const { status, body } = await leaks(await c.req.text(), (name) => c.req.header(name));
      return c.body(body, status);
    });
    const body = JSON.stringify([{ token: key, type: 'tenantry', url: `https://paste.example.com/#${key}` }]);
    const report = (by: string) =>
      app.request('/leaks', {
        method: 'POST',
        body,
        headers: { 'X-Signature-256': `sha256=${createHmac('sha256', by).update(body).digest('hex')}` },
      });
    expect((await report('another secret that nobody shares')).status).toBe(401);
    expect(await refusalOf(t.keys.verify(key))).toBe('accepted');
    expect((await report(shared)).status).toBe(202);
    expect(await refusalOf(t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    await until(
      'the other process',
      async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE revoked',
    );

    const dispatcher = t.outbox.dispatcher({ pollMs: 100 });
    await dispatcher.start();
    try {
      const message = await until('the owner is told', () =>
        receiver.received.find(({ body: text }) => text.includes('key.leaked')),
      );
      expect(await verifyWebhook({ secret, headers: message.headers, body: message.body })).toMatchObject({
        type: 'key.leaked',
        data: {
          keyId: apiKey.id,
          name: 'Server',
          namespaceId: a.namespaceId,
          createdBy: a.adminId,
          reporter: 'scanner',
          url: 'https://paste.example.com/#…',
        },
      });
      // b is told of nothing: not even that there was a report
      await b.asAdmin(() => t.outbox.emit({ topic: 'key.last' }));
      await until('what b is told', () => receiver.received.some(({ body: text }) => text.includes('key.last')));
      for (const { path, body: text } of receiver.received) {
        expect(text).not.toContain(key.slice(20));
        if (path.endsWith('-of-b')) expect(text).not.toContain('key.leaked');
      }
    } finally {
      await dispatcher.stop();
    }
    expect(await refusalOf(t.keys.verify(untouched))).toBe('accepted');
  });
});
