import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { forecast } from '../../../src/metering/usage/forecast.ts';
import { newTenant, setLimit, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture();

const record = (t: UsageTenant, at: string, quantity: number, namespaceId?: string) =>
  t.as(() =>
    f.usage.record({
      id: randomUUID(),
      metric: 'conversations',
      quantity,
      occurredAt: new Date(at),
      ...(namespaceId === undefined ? {} : { namespaceId }),
    }),
  );

describe('C3: statistics', () => {
  it('current and previous period, each day, the limit, the namespaces that used most', async () => {
    const t = await newTenant(f, { time_zone: 'Europe/Berlin' });
    const [production, staging] = [await t.namespace('production'), await t.namespace('staging')];
    await setLimit(f, t.tenantId, 'conversations', 100);
    await record(t, '2026-01-31T22:59Z', 40); // still January in Berlin
    await record(t, '2026-01-31T23:00Z', 30, production); // 1 February
    await record(t, '2026-02-03T12:00Z', 50, staging);
    await record(t, '2026-02-28T22:59Z', 45, production);
    const s = await t.as(() => f.usage.statistics({ metric: 'conversations', at: new Date('2026-02-10T00:00Z') }));
    expect(s).toMatchObject({
      title: 'Conversations',
      aggregation: 'sum',
      timeZone: 'Europe/Berlin',
      current: { start: new Date('2026-01-31T23:00Z'), end: new Date('2026-02-28T23:00Z'), value: 125, events: 3 },
      previous: { start: new Date('2025-12-31T23:00Z'), end: new Date('2026-01-31T23:00Z'), value: 40, events: 1 },
      change: 212.5,
      limit: { quantity: 100, hard: false, used: 125, remaining: 0, overage: 25 },
      namespaces: [
        { id: production, name: 'production', value: 75, events: 2 },
        { id: staging, name: 'staging', value: 50, events: 1 },
      ],
      forecast: null,
    });
    expect(s.days).toHaveLength(28);
    expect(s.days.filter(({ value }) => value > 0).map(({ start, value }) => [start.toISOString(), value])).toEqual([
      ['2026-01-31T23:00:00.000Z', 30],
      ['2026-02-02T23:00:00.000Z', 50],
      ['2026-02-27T23:00:00.000Z', 45],
    ]);
    const one = await t.as(() =>
      f.usage.statistics({ metric: 'conversations', at: new Date('2026-02-10T00:00Z'), namespaceId: staging }),
    );
    expect([one.current.value, one.limit, one.namespaces]).toEqual([50, null, []]);
    await expect(t.as(() => f.usage.statistics({ metric: 'nothing' }))).rejects.toMatchObject({
      code: 'TNT_METRIC_UNKNOWN',
    });
  });

  it('of a running month it also says what it will come to', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 1_000_000);
    await record(t, new Date().toISOString(), 10);
    const s = await t.as(() => f.usage.statistics({ metric: 'conversations' }));
    expect(s.forecast?.value).toBeGreaterThanOrEqual(10);
    expect(s.days.at(-1)?.value).toBe(10);
  });

  it('of a key, by day and month', async () => {
    const t = await newTenant(f);
    const namespaceId = await t.namespace('production');
    const [key] = await f.db.query<{ id: string }>(
      `insert into tenantry.api_keys (tenant_id, namespace_id, environment, kind, name) values ($1, $2, 'development', 'secret', 'k') returning id`,
      [t.tenantId, namespaceId],
    );
    await withTenant({ tenantId: t.tenantId, namespaceId, apiKeyId: key!.id }, () =>
      Promise.all(['a', 'b'].map((id) => f.usage.record({ id, metric: 'api_calls' }))),
    );
    expect(
      await f.db.query(
        `select period, value::int as value from tenantry.usage_key_periods where api_key_id = $1 order by 1`,
        [key!.id],
      ),
    ).toEqual([
      { period: 'day', value: 2 },
      { period: 'month', value: 2 },
    ]);
  });
});

describe('forecast, worked by hand', () => {
  const at = (text: string): Date => new Date(text);
  const span = (start: string, end: string, value: number) => ({
    start: at(start),
    end: at(end),
    value,
    events: value,
  });
  const month = (value: number) => span('2026-06-01T00:00Z', '2026-07-01T00:00Z', value);
  const days = (from: number, values: number[]) =>
    values.map((value, i) => ({
      start: new Date(Date.UTC(2026, 5, from + i)),
      end: new Date(Date.UTC(2026, 5, from + i + 1)),
      value,
      events: value,
    }));
  const base = { aggregation: 'sum', limit: null } as const;

  it('goes on as in the last seven days and today', () => {
    // on the 11th at noon: 7.5 days with 75 of 100 in all; 10 a day; 19.5 days are left: 100 + 195
    expect(
      forecast({
        ...base,
        current: month(100),
        recent: days(4, [10, 10, 10, 10, 10, 10, 10, 5]),
        now: at('2026-06-11T12:00Z'),
      }),
    ).toEqual({
      value: expect.closeTo(295) as number,
      reachesLimitAt: null,
    });
    // a limit of 150 is 50 away: five days
    expect(
      forecast({
        ...base,
        limit: 150,
        current: month(100),
        recent: days(4, [10, 10, 10, 10, 10, 10, 10, 5]),
        now: at('2026-06-11T12:00Z'),
      }),
    ).toEqual({
      value: expect.closeTo(295) as number,
      reachesLimitAt: at('2026-06-16T12:00Z'),
    });
  });
  it('is nothing for a period that is over or not begun, and for a last value; a maximum stays', () => {
    const recent = days(1, [10]);
    expect(forecast({ ...base, current: month(10), recent, now: at('2026-07-01T00:00Z') })).toBeNull();
    expect(forecast({ ...base, current: month(10), recent, now: at('2026-05-31T00:00Z') })).toBeNull();
    expect(forecast({ ...base, current: month(10), recent, now: at('2026-06-01T00:00Z') })).toBeNull();
    expect(forecast({ ...base, current: month(10), recent: [], now: at('2026-06-02T00:00Z') })).toBeNull();
    expect(
      forecast({ ...base, aggregation: 'last', current: month(10), recent, now: at('2026-06-01T12:00Z') }),
    ).toBeNull();
    expect(forecast({ ...base, aggregation: 'max', current: month(10), recent, now: at('2026-06-01T12:00Z') })).toEqual(
      { value: 10, reachesLimitAt: null },
    );
  });
  it('of a limit that is passed already: now', () => {
    const now = at('2026-06-01T12:00Z');
    expect(forecast({ ...base, limit: 5, current: month(10), recent: days(1, [10]), now })).toEqual({
      value: 600,
      reachesLimitAt: now,
    });
  });
});

describe('export', () => {
  it('writes the ledger as JSON Lines and CSV, by occurrence, page by page of one snapshot, and can be left early', async () => {
    const t = await newTenant(f);
    await t.as(() =>
      Promise.all(
        Array.from({ length: 2500 }, (_, i) =>
          f.usage.record({
            id: `e${i}`,
            metric: 'emails',
            quantity: '0.1',
            occurredAt: new Date(Date.UTC(2026, 2, 1, 0, 0, i)),
            ...(i === 7 ? { subject: 'a "quoted", name' } : {}),
          }),
        ),
      ),
    );
    await t.as(() => f.usage.amend({ id: 'fix', eventId: 'e8', quantity: '0.3', reason: 'x' }));
    const range = { from: new Date('2026-03-01T00:00Z'), to: new Date('2026-03-01T00:41:39Z') };
    const pages = await t.as(() => f.usage.export(range));
    let text = '';
    let count = 0;
    for await (const page of pages) {
      if (count === 0)
        await t.as(() => f.usage.record({ id: 'later', metric: 'emails', occurredAt: new Date('2026-03-01T00:20Z') }));
      text += page;
      count += 1;
    }
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; quantity: string });
    expect(count).toBeGreaterThan(2);
    expect(lines).toHaveLength(2500); // without the last one, with the correction
    expect(lines[0]).toMatchObject({
      id: 'e0',
      metric: 'emails',
      quantity: '0.1',
      events: 1,
      occurredAt: '2026-03-01T00:00:00.000Z',
    });
    expect(lines.find(({ id }) => id === 'fix')).toMatchObject({
      quantity: '0.2',
      corrects: 'e8',
      reason: 'x',
      events: 0,
    });

    let csv = '';
    for await (const page of await t.as(() => f.usage.export({ ...range, format: 'csv' }))) csv += page;
    const rows = csv.trimEnd().split('\r\n');
    expect(rows).toHaveLength(2502);
    expect(rows[0]).toBe(
      'id,metric,quantity,events,occurredAt,receivedAt,namespaceId,apiKeyId,subject,corrects,reason',
    );
    expect(rows.find((row) => row.startsWith('e7,'))).toContain(',"a ""quoted"", name",');

    for await (const page of await t.as(() => f.usage.export(range))) {
      expect(page).not.toBe('');
      break;
    }
    const other = await newTenant(f);
    for await (const page of await other.as(() => f.usage.export(range))) expect(page).toBe('');
    await expect(
      t.as(() => f.usage.export({ from: new Date(), to: new Date(), format: 'xml' } as never)),
    ).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
  });
});
