import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
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
});
