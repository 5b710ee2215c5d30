import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { counter, newTenant, setLimit, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture({ maxBatch: 7, maxFlushes: 4 });

const record = (t: UsageTenant, quantity: number, id: string = randomUUID()) =>
  t.as(() => f.usage.record({ id, metric: 'conversations', quantity }));
const fired = async (t: UsageTenant): Promise<number[]> =>
  (await t.asAdmin(() => f.usage.alerts())).map(({ level }) => level).toSorted((a, b) => a - b);
const emitted = async (t: UsageTenant): Promise<number[]> =>
  (
    await f.db.query<{ level: number }>(
      `select (payload ->> 'level')::float8 as level from tenantry.outbox where tenant_id = $1 and topic = 'usage.alert' order by 1`,
      [t.tenantId],
    )
  ).map(({ level }) => level);

describe('C3: alerts, once per organization, metric, period and level', () => {
  it('at 90 % and 100 % under 200 concurrent events', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 100);
    await Promise.all(Array.from({ length: 89 }, () => record(t, 1)));
    expect(await fired(t)).toEqual([]);
    await record(t, 1);
    expect(await fired(t)).toEqual([90]);
    await Promise.all(Array.from({ length: 110 }, () => record(t, 1)));
    expect(await fired(t)).toEqual([90, 100]);
    expect(await emitted(t)).toEqual([90, 100]);
  });

  it('one event that jumps over several levels tells of each; levels of choice reach above 100 %', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 10);
    await t.asAdmin(() => f.usage.setAlertLevels('conversations', [50, 100, 150, 300]));
    await record(t, 16);
    expect(await fired(t)).toEqual([50, 100, 150]);
    await record(t, 14);
    expect(await fired(t)).toEqual([50, 100, 150, 300]);
    await t.asAdmin(() => f.usage.setAlertLevels('conversations', null));
    expect(await emitted(t)).toEqual([50, 90, 100, 150, 300]); // back to the metric's own: 90 was passed too
  });

  it('a refund and a second crossing tell nobody twice', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 10);
    const id = randomUUID();
    await record(t, 9, id);
    await t.as(() => f.usage.retract({ id: 'refund', eventId: id, reason: 'sent twice' }));
    expect(await counter(f, t.tenantId, 'conversations')).toBe(0);
    await record(t, 9);
    expect(await emitted(t)).toEqual([90]);
  });

  it('a raised limit tells nobody twice, a lowered one at once', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 10);
    await record(t, 9);
    await setLimit(f, t.tenantId, 'conversations', 20);
    await record(t, 9);
    expect(await emitted(t)).toEqual([90]);
    await setLimit(f, t.tenantId, 'conversations', 18);
    expect(await emitted(t)).toEqual([90, 100]);
  });

  it('a transaction that rolls back tells nobody, and the next one does', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 10);
    await t
      .as(() =>
        f.kernel.transaction(async (tx) => {
          await f.usage.record({ id: 'in-a-transaction', metric: 'conversations', quantity: 10 }, tx);
          throw new Error('changed my mind');
        }),
      )
      .catch(() => {});
    expect(await emitted(t)).toEqual([]);
    expect(await record(t, 10, 'in-a-transaction')).toBe('counted');
    expect(await emitted(t)).toEqual([90, 100]);
  });

  it('an amendment upwards crosses too; no limit, no alert', async () => {
    const t = await newTenant(f);
    await record(t, 5, 'small');
    expect(await emitted(t)).toEqual([]);
    await setLimit(f, t.tenantId, 'conversations', 10);
    await t.as(() => f.usage.amend({ id: 'more', eventId: 'small', quantity: 9.5, reason: 'counted too little' }));
    expect(await emitted(t)).toEqual([90]);
  });

  it('each period tells for itself', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 10);
    const lastMonth = new Date(Date.now() - 40 * 86_400_000);
    await t.as(() => f.usage.record({ id: 'late', metric: 'conversations', quantity: 10, occurredAt: lastMonth }));
    await record(t, 10);
    expect(await emitted(t)).toEqual([90, 90, 100, 100]);
  });

  it('C3, B8: a namespace tells of its own limit, apart from the organization, and when the limit changes', async () => {
    const t = await newTenant(f);
    const [eu, us] = [await t.namespace('eu'), await t.namespace('us')];
    const limit = (id: string, limits: object) =>
      f.db.query('update tenantry.namespaces set limits = $2 where id = $1', [id, limits]);
    await setLimit(f, t.tenantId, 'conversations', 100);
    await limit(eu, { conversations: 10, conversations_per_day: { limit: 20, hard: false } });
    const use = (namespaceId: string, quantity: number) =>
      t.as(() => f.usage.record({ id: randomUUID(), metric: 'conversations', quantity, namespaceId }));
    const told = async () =>
      (await t.asAdmin(() => f.usage.alerts()))
        .map(({ namespaceId, period, level, limit }) => [namespaceId, period, level, limit])
        .toReversed();
    await Promise.all(Array.from({ length: 9 }, () => use(eu, 1)));
    await use(us, 50);
    expect(await told()).toEqual([[eu, 'month', 90, 10]]);
    await use(eu, 11);
    await limit(us, { conversations: 50 });
    const all = [
      [eu, 'month', 90, 10],
      [eu, 'day', 90, 20],
      [eu, 'day', 100, 20],
      [eu, 'month', 100, 10],
      [us, 'month', 90, 50],
      [us, 'month', 100, 50],
    ];
    expect(new Set((await told()).map(String))).toEqual(new Set(all.map(String)));
    expect(await told()).toHaveLength(all.length);
    await use(us, 20); // 90 of the organization's 100
    expect((await told()).at(-1)).toEqual([null, 'month', 90, 100]);
    const sent = await f.db.query<{ namespace: string | null }>(
      `select payload ->> 'namespaceId' as namespace from tenantry.outbox where tenant_id = $1 and topic = 'usage.alert' order by number`,
      [t.tenantId],
    );
    const places = (ids: readonly unknown[]) => ids.map(String).toSorted((a, b) => (a < b ? -1 : 1));
    expect(places(sent.map(({ namespace }) => namespace))).toEqual(places([...all.map(([id]) => id), null]));
    const confined = () =>
      withTenant({ tenantId: t.tenantId, userId: t.userId, namespaceId: us }, () => f.usage.alerts());
    expect((await confined()).map(({ namespaceId }) => namespaceId)).toEqual([us, us]);
  });
});
