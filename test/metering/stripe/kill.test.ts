import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileSources } from '../../isolation/compiled.ts';
import { billingFixture, newCustomer } from '../billing/fixture.ts';
import { type StripeServer, startStripeServer } from './stripe-server.ts';

const f = billingFixture();
/** More with: TENANTRY_KILLS=50 npx vitest run test/metering/stripe/kill.test.ts */
const kills = Number(process.env['TENANTRY_KILLS'] ?? 5);
vi.setConfig({ testTimeout: 200_000 + kills * 20_000, hookTimeout: 120_000 });
let sources: string;
const invoiceCount = Math.max(4, Math.ceil(kills / 2));
let server: StripeServer;
beforeAll(async () => {
  server = await startStripeServer();
  sources = (await compileSources()).folder;
});
afterAll(() => server.close());

/** Ends the process with SIGKILL at so many requests from now; without a number lets it finish. */
async function run(requests?: number): Promise<number | NodeJS.Signals> {
  const settings = { sources, appUrl: f.db.appUrl, operatorUrl: f.db.operatorUrl, port: server.port };
  const worker = fork(fileURLToPath(new URL('./kill-worker.mjs', import.meta.url)), {
    env: { ...process.env, TENANTRY_KILL_WORKER: JSON.stringify(settings) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const until = server.requests.length + (requests ?? Number.POSITIVE_INFINITY);
  // while the request is being answered: it is made, and its answer never arrives
  server.failWith(() => {
    if (server.requests.length + 1 >= until) worker.kill('SIGKILL');
    return undefined;
  });
  const [code, signal] = (await once(worker, 'exit')) as [number, NodeJS.Signals | null];
  return signal ?? code;
}

describe('C4: a pusher that is killed', () => {
  it('is followed by one that goes on: every invoice and every day of usage is there once', async () => {
    const customers = [];
    for (let i = 0; i < invoiceCount; i += 1) {
      const customer = await newCustomer(f);
      await customer.as(async () => {
        await f.t.billing.operator.subscribe({
          plan: 'support-pro',
          startsAt: new Date('2026-01-01T00:00:00Z'),
          trialDays: 0,
        });
        await f.t.usage.record({
          id: 'e',
          metric: 'conversations',
          quantity: 6000,
          occurredAt: new Date('2026-01-10T00:00:00Z'),
        });
        await f.t.billing.operator.finalize();
        await f.t.usage.record({
          id: 'd',
          metric: 'conversations',
          quantity: i + 1,
          occurredAt: new Date(Date.now() - 3_600_000),
        });
      });
      customers.push(customer);
    }
    for (let kill = 0; kill < kills; kill += 1) {
      expect(await run(1 + ((kill * 3) % 7))).toBe('SIGKILL');
    }
    expect(await run()).toBe(0);
    for (const [i, { tenantId }] of customers.entries()) {
      const of = server.invoices.filter(
        (each) => (each['metadata'] as Record<string, string>)['tenantry_tenant'] === tenantId,
      );
      expect(of.map((each) => each['status'])).toEqual(['open']);
      const items = server.items.filter((item) => item['invoice'] === of[0]!.id).map((item) => Number(item['amount']));
      expect(items.sort((a, b) => b - a)).toEqual([19900, 5000]);
      const made = server.customers.filter(
        (each) => (each['metadata'] as Record<string, string>)['tenantry_tenant'] === tenantId,
      );
      expect(made).toHaveLength(1);
      expect(server.events.filter((event) => event.customer === made[0]!.id).map(({ value }) => value)).toEqual([
        i + 1,
      ]);
    }
  });
});
