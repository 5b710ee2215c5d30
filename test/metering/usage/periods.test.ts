import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { counters, differences, newTenant, nil, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture();

async function edges(zone: string, period: string, at: string): Promise<[string, string]> {
  const [row] = await f.db.query<{ start: Date; end: Date }>(
    `select period_start as start, period_end as end from tenantry.period_edges($1, $2, $3)`,
    [zone, period, at],
  );
  return [row!.start.toISOString().slice(0, 16), row!.end.toISOString().slice(0, 16)];
}

describe('periods in a time zone, worked by hand', () => {
  // zone, period, an instant, [start, end) in UTC
  const cases: [string, string, string, string, string, string][] = [
    ['UTC', 'month', '2024-02-29T23:59:59Z', '2024-02-01T00:00', '2024-03-01T00:00', 'a leap February'],
    // clocks go forward on 8 March 2026 at 2:00 (UTC−5 → UTC−4): 31 × 24 − 1 = 743 hours
    ['America/New_York', 'month', '2026-03-15T12:00Z', '2026-03-01T05:00', '2026-04-01T04:00', 'March of 743 hours'],
    ['America/New_York', 'day', '2026-03-08T12:00Z', '2026-03-08T05:00', '2026-03-09T04:00', 'a day of 23 hours'],
    // and back on 1 November (UTC−4 → UTC−5): 30 × 24 + 1 = 721 hours
    ['America/New_York', 'month', '2026-11-15T12:00Z', '2026-11-01T04:00', '2026-12-01T05:00', 'November of 721 hours'],
    ['America/New_York', 'day', '2026-11-01T05:30Z', '2026-11-01T04:00', '2026-11-02T05:00', 'a day of 25 hours'],
    // the first instant of the next month belongs to it
    ['America/New_York', 'month', '2026-04-01T04:00Z', '2026-04-01T04:00', '2026-05-01T04:00', 'half-open'],
    // Cairo goes forward at midnight of 26 April 2024: 0:00 does not exist, the day begins at 1:00 = 22:00Z
    [
      'Africa/Cairo',
      'day',
      '2024-04-26T10:00Z',
      '2024-04-25T22:00',
      '2024-04-26T21:00',
      'a midnight that does not exist',
    ],
    // Havana goes back on 2 November 2025 at 1:00 (UTC−4) to 0:00 (UTC−5): midnight is twice; the day begins at the first, 4:00Z
    [
      'America/Havana',
      'day',
      '2025-11-02T04:30Z',
      '2025-11-02T04:00',
      '2025-11-03T05:00',
      'a midnight that is twice, between the two',
    ],
    [
      'America/Havana',
      'day',
      '2025-11-02T03:59Z',
      '2025-11-01T04:00',
      '2025-11-02T04:00',
      'a midnight that is twice, before',
    ],
    // Apia left out 30 December 2011: the 29th (UTC−10) ends where the 31st (UTC+14) begins, at 10:00Z of the 30th
    [
      'Pacific/Apia',
      'day',
      '2011-12-30T09:00Z',
      '2011-12-29T10:00',
      '2011-12-30T10:00',
      'before a day that was left out',
    ],
    ['Pacific/Apia', 'day', '2011-12-30T10:00Z', '2011-12-30T10:00', '2011-12-31T10:00', 'after it'],
    ['Asia/Kathmandu', 'day', '2026-01-01T00:00Z', '2025-12-31T18:15', '2026-01-01T18:15', 'UTC+5:45'],
    [
      'Australia/Lord_Howe',
      'month',
      '2026-04-10T00:00Z',
      '2026-03-31T13:00',
      '2026-04-30T13:30',
      'half an hour of daylight saving',
    ],
  ];
  it.each(cases)('%s %s at %s', async (zone, period, at, start, end) => {
    expect(await edges(zone, period, at)).toEqual([start, end]);
  });

  it('days of a year follow one another without gap or overlap, in every zone with odd midnights', async () => {
    for (const zone of [
      'America/Havana',
      'Africa/Cairo',
      'America/New_York',
      'Asia/Beirut',
      'America/Santiago',
      'Australia/Lord_Howe',
      'Antarctica/Troll',
    ]) {
      const [row] = await f.db.query<{ days: number; bad: number }>(
        `with recursive day as (
           select * from tenantry.period_edges($1, 'day', '2025-01-01 12:00Z')
           union all
           select n.* from day d cross join lateral tenantry.period_edges($1, 'day', d.period_end) n where d.period_end < '2026-01-01 00:00Z')
         select count(*)::int as days, (count(*) filter (where not (i.period_start = d.period_start and i.period_end = d.period_end
           and d.period_end - d.period_start between interval '22 hours' and interval '26 hours')))::int as bad
         from day d cross join lateral generate_series(d.period_start, d.period_end - interval '1 millisecond', interval '5 hours 59 minutes') at
         cross join lateral tenantry.period_edges($1, 'day', at) i`,
        [zone],
      );
      expect(row!.days, zone).toBeGreaterThan(1400);
      expect(row!.bad, zone).toBe(0);
    }
  });
});

const record = (t: UsageTenant, at: string, quantity = 1, metric = 'emails') =>
  t.as(() => f.usage.record({ id: randomUUID(), metric, quantity, occurredAt: new Date(at) }));

describe('C3: counted in the organization’s day and month', () => {
  it('events around a midnight and a month’s end of the zone', async () => {
    const t = await newTenant(f, { time_zone: 'America/New_York' });
    await record(t, '2026-11-01T03:59:59.999Z', 1); // 31 October, 23:59:59.999
    await record(t, '2026-11-01T04:00:00Z', 10); // 1 November, 0:00
    await record(t, '2026-11-02T04:59:59Z', 100); // still the 1st, a day of 25 hours
    await record(t, '2026-11-02T05:00:00Z', 1000);
    expect((await counters(f, t.tenantId, 'emails')).map(({ period, start, value }) => [period, start, value])).toEqual(
      [
        ['day', '2026-10-31T04:00Z', 1],
        ['day', '2026-11-01T04:00Z', 110],
        ['day', '2026-11-02T05:00Z', 1000],
        ['month', '2026-10-01T04:00Z', 1],
        ['month', '2026-11-01T04:00Z', 1110],
      ],
    );
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  it('a changed zone takes effect where the running day and month end: nothing is counted twice or falls between', async () => {
    const t = await newTenant(f, { time_zone: 'America/New_York' });
    await record(t, '2026-01-10T12:00Z');
    // the day and the month of New York were over, the organization moved, and the next event comes
    await f.db.query(
      `update tenantry.usage_accounts set day_start = '2026-01-10 05:00Z', day_end = '2026-01-11 05:00Z', month_start = '2026-01-01 05:00Z', month_end = '2026-02-01 05:00Z'
       where tenant_id = $1`,
      [t.tenantId],
    );
    await f.db.query(`update tenantry.organizations set settings = '{"time_zone": "Asia/Tokyo"}' where id = $1`, [
      t.tenantId,
    ]);
    await record(t, '2026-01-11T04:59Z', 1, 'api_calls'); // the last New York day
    await record(t, '2026-01-11T05:00Z', 10, 'api_calls'); // the first Tokyo day began at 5:00Z and ends at 15:00Z
    await record(t, '2026-01-11T15:00Z', 100, 'api_calls');
    await record(t, '2026-02-01T04:59Z', 1000, 'api_calls'); // January is New York's to its end
    await record(t, '2026-02-01T05:00Z', 10000, 'api_calls');
    const rows = await counters(f, t.tenantId, 'api_calls');
    expect(rows.map(({ period, start, end, value }) => [period, start, end, value])).toEqual([
      ['day', '2026-01-10T05:00Z', '2026-01-11T05:00Z', 1],
      ['day', '2026-01-11T05:00Z', '2026-01-11T15:00Z', 10],
      ['day', '2026-01-11T15:00Z', '2026-01-12T15:00Z', 100],
      ['day', '2026-01-31T15:00Z', '2026-02-01T15:00Z', 11000],
      ['month', '2026-01-01T05:00Z', '2026-02-01T05:00Z', 1111],
      ['month', '2026-02-01T05:00Z', '2026-02-28T15:00Z', 10000],
    ]);
    expect(await differences(f, t.tenantId)).toEqual([]);
    // of any range: whole days from counters, the rest from the ledger
    const between = async (from: string, to: string): Promise<number> =>
      Number(
        (
          await f.db.query<{ v: string }>(`select tenantry.usage_between($1, null, 'api_calls', $2, $3) as v`, [
            t.tenantId,
            from,
            to,
          ])
        )[0]!.v,
      );
    expect(await between('2026-01-11T05:00Z', '2026-01-11T15:00Z')).toBe(10);
    expect(await between('2026-01-11T04:59Z', '2026-01-11T15:00:01Z')).toBe(111);
    expect(await between('2026-01-01T00:00Z', '2026-03-01T00:00Z')).toBe(11111);
    expect(await between('2026-02-01T04:59Z', '2026-02-01T05:00Z')).toBe(1000);
    expect(await between('2026-02-01T05:00Z', '2026-02-01T05:00Z')).toBe(0);
  });

  it('a zone that nobody knows counts by UTC', async () => {
    const t = await newTenant(f, { time_zone: 'Mars/Olympus' });
    await record(t, '2026-05-05T00:00Z');
    expect((await counters(f, t.tenantId, 'emails')).map(({ start }) => start)).toEqual([
      '2026-05-05T00:00Z',
      '2026-05-01T00:00Z',
    ]);
  });

  it('count, max, last and unique, under any order, and after corrections', async () => {
    const t = await newTenant(f);
    await f.db.query(
      `insert into tenantry.metrics (name, title, aggregation) values ('jobs', 'Jobs', 'count'), ('seats', 'Seats', 'max'), ('storage', 'Storage', 'last') on conflict do nothing`,
    );
    const namespaceId = await t.namespace('production');
    const at = (minute: number) => new Date(Date.UTC(2026, 4, 5, 12, minute));
    const send = (id: string, metric: string, minute: number, quantity: number, subject?: string) =>
      f.usage.record({
        id,
        metric,
        quantity,
        occurredAt: at(minute),
        namespaceId,
        ...(subject === undefined ? {} : { subject }),
      });
    await t.as(() =>
      Promise.all([
        send('j1', 'jobs', 1, 5),
        send('j2', 'jobs', 2, 7),
        send('s1', 'seats', 1, 3),
        send('s2', 'seats', 2, 9),
        send('s3', 'seats', 3, 4),
        send('g2', 'storage', 2, 20),
        send('g1', 'storage', 1, 90),
        send('u1', 'active_end_users', 1, 1, 'ann'),
        send('u2', 'active_end_users', 2, 1, 'ben'),
        send('u3', 'active_end_users', 3, 1, 'ann'),
      ]),
    );
    const values = async () =>
      Object.fromEntries(
        await Promise.all(
          ['jobs', 'seats', 'storage', 'active_end_users'].map(async (metric) => [
            metric,
            (await counters(f, t.tenantId, metric))
              .filter(({ scope, period }) => scope === nil && period === 'month')
              .map(({ value, events }) => [value, events])[0],
          ]),
        ),
      );
    expect(await values()).toEqual({ jobs: [2, 2], seats: [9, 3], storage: [20, 2], active_end_users: [2, 3] });
    await t.as(async () => {
      await f.usage.retract({ id: 'c1', eventId: 's2', reason: 'wrong' });
      await f.usage.amend({ id: 'c2', eventId: 'g2', quantity: 25, reason: 'wrong' });
      await f.usage.retract({ id: 'c3', eventId: 'u2', reason: 'wrong' });
      await f.usage.retract({ id: 'c4', eventId: 'j1', reason: 'wrong' });
    });
    expect(await values()).toEqual({ jobs: [1, 1], seats: [4, 2], storage: [25, 2], active_end_users: [1, 2] });
    await t.as(() => send('u4', 'active_end_users', 4, 1, 'ben'));
    expect((await values())['active_end_users']).toEqual([2, 3]);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });
});
