import { describe, expect, it } from 'vitest';
import { memorySeenIds, verifyWebhook } from '../../src/outbox/index.ts';
import { newOrganization } from '../directory/fixture.ts';
import { outboxFixture } from './fixture.ts';
import { until } from './receiver.ts';

const f = outboxFixture();

describe('webhooks', () => {
  it('are sent signed, in order, to the endpoints that want the topic', async () => {
    const a = await newOrganization(f);
    const { secret, endpoint } = await a.asAdmin(() =>
      f.t.webhooks.create({ url: f.receiver.url, topics: ['invoice.*'], description: 'books' }),
    );
    expect(endpoint).toMatchObject({ url: f.receiver.url, topics: ['invoice.*'], status: 'enabled' });
    await f.dispatch();
    await a.asAdmin(async () => {
      for (const topic of ['invoice.made', 'key.made', 'invoice.paid'])
        await f.t.outbox.emit({ topic, payload: { topic } });
    });
    await until('two', () => f.receiver.received.length >= 2);
    const seen = memorySeenIds();
    const messages = await Promise.all(
      f.receiver.received.map(({ headers, body }) => verifyWebhook({ secret, headers, body, seen })),
    );
    expect(messages.map(({ type, data }) => [type, data])).toEqual([
      ['invoice.made', { topic: 'invoice.made' }],
      ['invoice.paid', { topic: 'invoice.paid' }],
    ]);
    const log = await until('log', async () => {
      const { items } = await a.asAdmin(() => f.t.webhooks.deliveries({ endpointId: endpoint.id }));
      return items.length === 2 ? items : undefined;
    });
    expect(log.map(({ topic, state, lastStatus }) => [topic, state, lastStatus])).toEqual([
      ['invoice.paid', 'delivered', 200],
      ['invoice.made', 'delivered', 200],
    ]);
  });
});
