import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTenantry, type Tenantry } from '../../src/tenantry.ts';
import { createKeyring } from '../../src/vault/index.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';
import { compileSources } from '../isolation/compiled.ts';
import { type Receiver, startReceiver, until } from './receiver.ts';

// more: TENANTRY_KILLS=50 npx vitest run test/outbox/kill.test.ts
const kills = Number(process.env['TENANTRY_KILLS'] ?? 5);
vi.setConfig({ testTimeout: 200_000 + kills * 20_000, hookTimeout: 120_000 });
const f = directoryFixture();
const key = randomBytes(32);
const workers = new Set<ChildProcess>();
let receiver: Receiver;
let t: Tenantry;
let sources: string;
beforeAll(async () => {
  receiver = await startReceiver();
  sources = (await compileSources()).folder;
  t = createTenantry({
    pool: f.pool,
    vault: { keyring: createKeyring([{ id: 'k1', key }]) },
    webhooks: { allowHttp: true, allowPrivate: true },
  });
  await f.db.query('create table seen (number bigint generated always as identity, tenant_id uuid, seq bigint)');
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  await t.close();
  await receiver.close();
});

async function startWorker(): Promise<ChildProcess> {
  const settings = {
    sources,
    appUrl: f.db.appUrl,
    adminUrl: f.db.adminUrl,
    key: key.toString('hex'),
    consumer: 'load',
  };
  const worker = fork(fileURLToPath(new URL('./kill-worker.mjs', import.meta.url)), {
    env: { ...process.env, TENANTRY_KILL_WORKER: JSON.stringify(settings) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  workers.add(worker);
  worker.once('exit', () => workers.delete(worker));
  await new Promise<void>((done, failed) => {
    worker.once('message', () => done());
    worker.once('exit', (code) => failed(new Error(`the worker ended with ${code}`)));
  });
  return worker;
}

/** However much has piled up: only a minute in which nothing comes is an end. */
async function arrives(what: string, count: () => Promise<number>, look: () => Promise<boolean>): Promise<void> {
  for (let before = -1, now = await count(); now > before; [before, now] = [now, await count()]) {
    const done = await until(what, look, 60_000).catch(() => false);
    if (done === true) return;
  }
  throw new Error(`${what}: nothing has come for a minute`);
}

/** Nothing lost, and nothing before its turn: what comes is the next one, or one that came before. */
function expectInOrder(deliveries: number[], last: number): void {
  let reached = 0;
  for (const seq of deliveries) {
    expect(seq).toBeLessThanOrEqual(reached + 1);
    reached = Math.max(reached, seq);
  }
  expect(reached).toBe(last);
}

describe('kill -9 of dispatchers under load', () => {
  it('every event is delivered at least once, to handlers and webhooks, in the order of its organization', async () => {
    const organizations = await Promise.all(Array.from({ length: 4 }, () => newOrganization(f)));
    await Promise.all(organizations.map((one) => one.asAdmin(() => t.webhooks.create({ url: receiver.url }))));
    const receivedOf = (tenantId: string): number[] =>
      receiver.received
        .map(({ body }) => (JSON.parse(body) as { data: { tenantId: string; n: number } }).data)
        .filter((data) => data.tenantId === tenantId)
        .map(({ n }) => n);
    receiver.answer = (_, response) => {
      if (Math.random() < 0.02) response.destroy();
      else response.end();
    };

    // two at once, one of which dies again and again
    const first = await startWorker();
    let second = await startWorker();
    let emitting = true;
    const last = new Map<string, number>();
    const load = organizations.map((one) =>
      one.asAdmin(async () => {
        for (let n = 1; emitting; n += 1) {
          await f.kernel.transaction(async (tx) => {
            await t.outbox.emit({ topic: 'load.one', payload: { tenantId: one.tenantId, n } }, tx);
          });
          last.set(one.tenantId, n);
          await f.kernel
            .transaction(async (tx) => {
              await t.outbox.emit({ topic: 'load.never' }, tx);
              throw new Error('rolled back');
            })
            .catch(() => {});
          await pause(Math.random() * 30);
        }
      }),
    );
    for (let kill = 0; kill < kills; kill += 1) {
      await pause(100 + Math.random() * 400);
      second.kill('SIGKILL');
      second = await startWorker();
    }
    emitting = false;
    await Promise.all(load);
    const count = async (): Promise<number> =>
      receiver.received.length + (await f.db.query<{ n: number }>('select count(*)::int as n from seen'))[0]!.n;
    for (const { tenantId } of organizations) {
      const wanted = last.get(tenantId)!;
      await arrives(`webhooks of ${tenantId}`, count, async () => receivedOf(tenantId).includes(wanted));
      await arrives(`handlers of ${tenantId}`, count, async () =>
        f.db
          .query('select 1 from seen where tenant_id = $1 and seq = $2', [tenantId, wanted])
          .then((rows) => rows.length > 0),
      );
    }
    for (const worker of [first, second]) worker.kill('SIGKILL');
    for (const { tenantId } of organizations) {
      expectInOrder(receivedOf(tenantId), last.get(tenantId)!);
      const seen = await f.db.query<{ seq: string }>('select seq from seen where tenant_id = $1 order by number', [
        tenantId,
      ]);
      expectInOrder(
        seen.map(({ seq }) => Number(seq)),
        last.get(tenantId)!,
      );
    }
  });
});
