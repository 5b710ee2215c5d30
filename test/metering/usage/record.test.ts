import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { counter, counters, differences, newTenant, nil, usageFixture } from './fixture.ts';

const f = usageFixture();

describe('C3, C8: recording', () => {
  it('counts an event once, for the organization and its namespace, by day and month', async () => {
    const a = await newTenant(f);
    const production = await a.namespace('production');
    const id = randomUUID();
    const record = () => a.as(() => f.usage.record({ id, metric: 'conversations', namespaceId: production }));
    expect(await record()).toBe('counted');
    expect(await record()).toBe('duplicate');
    expect(await a.as(() => f.usage.record({ id: randomUUID(), metric: 'conversations', quantity: '2.5' }))).toBe(
      'counted',
    );
    const rows = await counters(f, a.tenantId, 'conversations');
    expect(rows.map(({ scope, period, value, events }) => [scope, period, value, events])).toEqual([
      [nil, 'day', 3.5, 2],
      [nil, 'month', 3.5, 2],
      [production, 'day', 1, 1],
      [production, 'month', 1, 1],
    ]);
    expect(await differences(f, a.tenantId)).toEqual([]);
  });

  it('many callers of many organizations share transactions, and every event is counted for its own', async () => {
    const tenants = await Promise.all(Array.from({ length: 5 }, () => newTenant(f)));
    const before = await f.db.query<{ n: string }>(
      `select xact_commit as n from pg_stat_database where datname = current_database()`,
    );
    const outcomes = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => {
        const { tenantId } = tenants[i % 5]!;
        return withTenant({ tenantId }, () =>
          f.usage.record({ id: `e${Math.floor(i / 5) % 150}`, metric: 'api_calls' }),
        );
      }),
    );
    expect(before).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'counted')).toHaveLength(750);
    for (const { tenantId } of tenants) {
      expect(await counter(f, tenantId, 'api_calls')).toBe(150);
      expect(await differences(f, tenantId)).toEqual([]);
    }
  });

  it('one wrong event does not take the others of its batch with it', async () => {
    const a = await newTenant(f);
    const b = await newTenant(f);
    const foreign = await b.namespace('production');
    const results = await a.as(() =>
      Promise.allSettled([
        f.usage.record({ id: '1', metric: 'emails' }),
        f.usage.record({ id: '2', metric: 'no_such_metric' }),
        f.usage.record({ id: '3', metric: 'emails', namespaceId: foreign }),
        f.usage.record({ id: '4', metric: 'emails', apiKeyId: randomUUID() }),
        f.usage.record({ id: '5', metric: 'emails', occurredAt: new Date(Date.now() + 7_300_000) }),
        f.usage.record({ id: '6', metric: 'emails', occurredAt: new Date('1999-12-31T00:00:00Z') }),
        f.usage.record({ id: '7', metric: 'active_end_users' }),
        f.usage.record({ id: '1', metric: 'emails', quantity: 2 }),
        f.usage.record({ id: '8', metric: 'emails' }),
      ]),
    );
    expect(
      results.map((result) =>
        result.status === 'fulfilled' ? result.value : (result.reason as { code: string }).code,
      ),
    ).toEqual([
      'counted',
      'TNT_METRIC_UNKNOWN',
      'TNT_NOT_FOUND',
      'TNT_NOT_FOUND',
      'TNT_INPUT_INVALID',
      'TNT_INPUT_INVALID',
      'TNT_INPUT_INVALID',
      'TNT_CONFLICT',
      'counted',
    ]);
    expect(await counter(f, a.tenantId, 'emails')).toBe(2);
    expect(await differences(f, a.tenantId)).toEqual([]);
  });
});
