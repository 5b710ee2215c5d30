import { describe, expect, it } from 'vitest';
import { memorySeenIds, verifyWebhook } from '../../src/outbox/index.ts';
import { messageBody, newSecret, signMessage } from '../../src/outbox/webhooks/sign.ts';
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

  it('are repeated in their place while the receiver fails, given up, listed as dead, and sent again when asked', async () => {
    const a = await newOrganization(f);
    const { endpoint } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    await f.dispatch();
    const types = (): string[] => f.receiver.received.map(({ body }) => (JSON.parse(body) as { type: string }).type);
    f.receiver.answer = ({ body }, response) => {
      response.statusCode = body.includes('r.bad') ? 500 : 200;
      response.end('what went wrong');
    };
    await a.asAdmin(async () => {
      for (const topic of ['r.first', 'r.bad', 'r.last']) await f.t.outbox.emit({ topic });
    });
    await until('the last', () => types().includes('r.last'));
    expect(types()).toEqual(['r.first', 'r.bad', 'r.bad', 'r.bad', 'r.last']);
    expect(new Set(f.receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
    await a.asAdmin(async () => {
      const [dead] = (await f.t.webhooks.deliveries({ state: 'dead' })).items;
      expect(dead).toMatchObject({ topic: 'r.bad', attempts: 3, lastStatus: 500, lastError: 'HTTP 500' });
      expect(await f.t.webhooks.attempts(dead!.id)).toMatchObject(
        Array.from({ length: 3 }, () => ({ outcome: 'failed', status: 500, response: 'what went wrong' })),
      );
      await until('the last is written', async () => (await f.t.webhooks.get(endpoint.id))!.failingSince === null);
      f.receiver.answer = (_, response) => response.end();
      expect(await f.t.webhooks.replayDead()).toBe(1);
      await until(
        'it is delivered',
        async () => (await f.t.webhooks.deliveries({ state: 'dead' })).items.length === 0 && types().length === 6,
      );
      expect(types().at(-1)).toBe('r.bad');
    });
  });

  it('are replayed: one, since an instant, all; in order and with the ids of before', async () => {
    const a = await newOrganization(f);
    const { endpoint } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    await f.dispatch();
    const ids = (): unknown[] => f.receiver.received.map(({ headers }) => headers['webhook-id']);
    await a.asAdmin(async () => {
      const first = await f.t.outbox.emit({ topic: 'r.one' });
      await new Promise((done) => setTimeout(done, 20));
      const middle = new Date();
      const rest = [await f.t.outbox.emit({ topic: 'r.two' }), await f.t.outbox.emit({ topic: 'r.three' })];
      await until('three', () => ids().length === 3);
      expect(await f.t.webhooks.replay(endpoint.id, { eventId: first })).toBe(1);
      await until('one more', () => ids().length === 4);
      expect(await f.t.webhooks.replay(endpoint.id, { since: middle })).toBe(2);
      await until('two more', () => ids().length === 6);
      expect(await f.t.webhooks.replay(endpoint.id, { all: true })).toBe(3);
      await until('three more', () => ids().length === 9);
      expect(ids()).toEqual([first, ...rest, first, ...rest, first, ...rest]);
      expect(await f.t.webhooks.replay(a.tenantId, { all: true })).toBeNull();
    });
    const b = await newOrganization(f);
    expect(await b.asAdmin(() => f.t.webhooks.replay(endpoint.id, { all: true }))).toBeNull();
  });

  it('are signed with both secrets while one is rotated, with the new one alone afterwards', async () => {
    const a = await newOrganization(f);
    await f.dispatch();
    const { endpoint, secret: old } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    const verifies = async (secret: string): Promise<boolean> => {
      const { headers, body } = f.receiver.received.at(-1)!;
      return verifyWebhook({ secret, headers, body }).then(
        () => true,
        () => false,
      );
    };
    const send = (): Promise<unknown> => a.asAdmin(() => f.t.webhooks.test(endpoint.id));
    const first = (await a.asAdmin(() => f.t.webhooks.rotateSecret(endpoint.id)))!.secret;
    await send();
    expect([await verifies(old), await verifies(first)]).toEqual([true, true]);
    const second = (await a.asAdmin(() => f.t.webhooks.rotateSecret(endpoint.id, { overlapHours: 0 })))!.secret;
    await send();
    expect([await verifies(old), await verifies(first), await verifies(second)]).toEqual([false, false, true]);
    // of the secrets only those that still sign are kept, encrypted
    const kept = await f.db.query<{ value: string }>(
      `select v.value from tenantry.secrets s join tenantry.secret_versions v on v.secret_id = s.id where s.tenant_id = $1 and s.service = 'webhooks'`,
      [a.tenantId],
    );
    expect(kept.length).toBeLessThanOrEqual(2);
    expect(JSON.stringify(kept)).not.toContain(second.slice(6));
    await a.asAdmin(() => f.t.webhooks.delete(endpoint.id));
    expect(await f.db.query(`select 1 from tenantry.secrets where tenant_id = $1`, [a.tenantId])).toEqual([]);
  });

  it('stop when an endpoint answers 410 or fails for too long, tell so, and go on where they stood', async () => {
    const a = await newOrganization(f);
    const { endpoint } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url, topics: ['r.*'] }));
    const told: unknown[] = [];
    await f.dispatch({
      consumers: { told: { topics: ['webhook.disabled'], handle: ({ payload }) => told.push(payload) } },
    });
    f.receiver.answer = (_, response) => response.writeHead(410).end();
    await a.asAdmin(() => f.t.outbox.emit({ topic: 'r.one' }));
    await until('it is told', () => told.length > 0);
    expect(told).toEqual([{ endpoint_id: endpoint.id, reason: 'the receiver answered 410 Gone' }]);
    expect(await a.asAdmin(() => f.t.webhooks.get(endpoint.id))).toMatchObject({ status: 'disabled' });
    await a.asAdmin(() => f.t.outbox.emit({ topic: 'r.two' }));
    f.receiver.answer = (_, response) => response.writeHead(500).end();
    f.receiver.received.length = 0;
    await a.asAdmin(() => f.t.webhooks.update(endpoint.id, { status: 'enabled' }));
    await until('it goes on', () => f.receiver.received.length > 0);
    expect(f.receiver.received[0]!.body).toContain('r.one');
    // five days later
    await f.db.query(
      `update tenantry.webhook_endpoints set failing_since = now() - interval '121 hours' where id = $1 and failing_since is not null`,
      [endpoint.id],
    );
    await a.asAdmin(() => f.t.outbox.emit({ topic: 'r.three' }));
    await until('it is told again', () => told.length > 1);
    expect(told[1]).toMatchObject({ reason: 'no delivery succeeded for 120 hours' });
  });

  it('of a receiver that hangs or is away block neither another endpoint nor another organization', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const hang = `http://127.0.0.1:${f.receiver.port}/hang`;
    f.receiver.answer = ({ path }, response) => (path === '/hang' ? undefined : response.end());
    await a.asAdmin(async () => {
      for (let i = 0; i < 6; i += 1) await f.t.webhooks.create({ url: hang });
      await f.t.webhooks.create({ url: 'http://127.0.0.1:1/away' });
      await f.t.webhooks.create({ url: f.receiver.url });
    });
    await b.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    await a.asAdmin(() => f.t.outbox.emit({ topic: 's.slow' }));
    await f.dispatch({ concurrency: 8, perTenant: 4 });
    // a hanging attempt takes 2,000
    await b.asAdmin(() => f.t.outbox.emit({ topic: 's.quick' }));
    await until(
      'the other organization',
      () => f.receiver.received.some(({ body }) => body.includes('s.quick')),
      1_500,
    );
    await until('the other endpoint', () =>
      f.receiver.received.some(({ path, body }) => path === '/hook' && body.includes('s.slow')),
    );
  });

  it('go to a hundred endpoints of an organization at most: nobody is flooded through it', async () => {
    const a = await newOrganization(f);
    await f.db.query(
      `insert into tenantry.webhook_endpoints (tenant_id, url, secret_id) select $1, $2, gen_random_uuid() from generate_series(1, 99)`,
      [a.tenantId, f.receiver.url],
    );
    const { endpoint } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    const more = a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    await expect(more).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
      details: { constraint: 'webhook_endpoints_at_most_100' },
    });
    await a.asAdmin(() => f.t.webhooks.delete(endpoint.id));
    await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    const secrets = await f.db.query(`select name from tenantry.secrets where tenant_id = $1`, [a.tenantId]);
    expect(secrets).toHaveLength(1); // of what was refused nothing is left
  });

  it('are read and changed by permission alone', async () => {
    const a = await newOrganization(f);
    const { endpoint } = await a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url }));
    await a.as(await a.member(), async () => {
      expect((await f.t.webhooks.list()).items).toEqual([]);
      expect((await f.t.webhooks.deliveries()).items).toEqual([]);
      for (const call of [
        () => f.t.webhooks.create({ url: f.receiver.url }),
        () => f.t.webhooks.test(endpoint.id),
        () => f.t.webhooks.replay(endpoint.id, { all: true }),
        () => f.t.webhooks.replayDead(),
        () => f.t.webhooks.rotateSecret(endpoint.id),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      }
      await expect(
        f.kernel.query('select tenantry.outbox_replay($1, null, now())', [endpoint.id]),
      ).rejects.toMatchObject({
        code: '42501',
      });
      expect(await f.t.webhooks.update(endpoint.id, { status: 'disabled' })).toBeNull();
    });
    const b = await newOrganization(f);
    await b.asAdmin(async () => {
      expect(await f.t.webhooks.get(endpoint.id)).toBeNull();
      expect(await f.t.webhooks.test(endpoint.id)).toBeNull();
      expect(await f.t.webhooks.delete(endpoint.id)).toBeNull();
    });
    await expect(a.asAdmin(() => f.t.webhooks.create({ url: f.receiver.url, secret: 'whsec_short' }))).rejects.toThrow(
      'secret: must be whsec_ and 24 to 64 bytes in base64.',
    );
  });
});

describe('receivers', () => {
  const message = async (
    at = new Date(),
  ): Promise<{ headers: Record<string, string>; body: string; secret: string }> => {
    const secret = newSecret();
    const body = messageBody({ topic: 'a.b', occurredAt: at, payload: { n: 1 } });
    const { headers } = await signMessage('msg_1', body, [secret], at);
    return { headers, body, secret };
  };

  it('refuse a tampered body, id or time, another secret, and what lacks a header', async () => {
    const { headers, body, secret } = await message();
    expect(await verifyWebhook({ secret, headers, body })).toMatchObject({ id: 'msg_1', type: 'a.b', data: { n: 1 } });
    expect(
      await verifyWebhook({ secret: [newSecret(), secret], headers: new Headers(headers), body: Buffer.from(body) }),
    ).toMatchObject({ id: 'msg_1' });
    const bad = [
      { body: body.replace('1', '2') },
      { headers: { ...headers, 'webhook-id': 'msg_2' } },
      { headers: { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) } },
      { headers: { ...headers, 'webhook-signature': 'v1,AAAA' } },
      { headers: { 'webhook-id': 'x' } },
      { secret: newSecret() },
    ];
    for (const change of bad)
      await expect(verifyWebhook({ secret, headers, body, ...change })).rejects.toMatchObject({
        code: 'TNT_WEBHOOK_INVALID',
      });
  });

  it('refuse what is replayed: by age, and within the tolerance by id', async () => {
    for (const seconds of [-301, 301]) {
      const { headers, body, secret } = await message(new Date(Date.now() + seconds * 1000));
      await expect(verifyWebhook({ secret, headers, body })).rejects.toMatchObject({ code: 'TNT_WEBHOOK_INVALID' });
    }
    const late = await message(new Date(Date.now() - 60_000));
    await expect(verifyWebhook({ ...late, toleranceSeconds: 30 })).rejects.toMatchObject({
      code: 'TNT_WEBHOOK_INVALID',
    });
    const seen = memorySeenIds();
    const once = { ...(await message()), seen };
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => verifyWebhook(once)));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(verifyWebhook(once)).rejects.toMatchObject({ code: 'TNT_WEBHOOK_REPLAYED' });
    await seen.remove('msg_1'); // handling failed: the sender's repetition is welcome
    expect(await verifyWebhook(once)).toMatchObject({ id: 'msg_1' });
    const few = memorySeenIds({ max: 2 });
    expect(['a', 'b', 'c'].map((id) => few.add(id, 1_000))).toEqual([true, true, true]);
    expect([few.add('c', 1_000), few.add('a', 1_000)]).toEqual([false, true]); // bounded: the oldest went
  });
});
