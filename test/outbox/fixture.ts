import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Dispatcher, DispatcherOptions, WebhookOptions } from '../../src/outbox/index.ts';
import { createTenantry, type Tenantry } from '../../src/tenantry.ts';
import { createKeyring } from '../../src/vault/index.ts';
import { type DirectoryFixture, directoryFixture } from '../directory/fixture.ts';
import { type Receiver, startReceiver } from './receiver.ts';

/** Delays of a test: quick, and few. */
export const quick: DispatcherOptions = {
  pollMs: 100,
  leaseMs: 1_500,
  retries: [20, 40],
  webhookRetries: [20, 40],
};

export interface OutboxFixture extends DirectoryFixture {
  readonly t: Tenantry;
  readonly receiver: Receiver;
  /** Started, and stopped after the test. */
  dispatch(options?: DispatcherOptions): Promise<Dispatcher>;
}

export const localNetwork: WebhookOptions = { allowHttp: true, allowPrivate: ['127.0.0.1'], timeoutMs: 2_000 };

export function outboxFixture(): OutboxFixture {
  const fixture = directoryFixture() as unknown as { -readonly [K in keyof OutboxFixture]: OutboxFixture[K] };
  const running: Dispatcher[] = [];
  beforeAll(async () => {
    fixture.receiver = await startReceiver();
    fixture.pool.on('error', () => {}); // a test ends its connections on purpose
    const keyring = createKeyring([{ id: 'k1', key: randomBytes(32) }]);
    fixture.t = createTenantry({ pool: fixture.pool, vault: { keyring }, webhooks: localNetwork });
    fixture.dispatch = async (options = {}) => {
      const dispatcher = fixture.t.outbox.dispatcher({ ...quick, ...options });
      await dispatcher.start();
      running.push(dispatcher);
      return dispatcher;
    };
  });
  afterEach(async () => {
    fixture.receiver.received.length = 0;
    fixture.receiver.answer = (_, response) => response.end('ok');
    await Promise.all(running.splice(0).map((dispatcher) => dispatcher.stop()));
  });
  afterAll(async () => {
    await fixture.t.close();
    await fixture.receiver.close();
  });
  return fixture;
}
