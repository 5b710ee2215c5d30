import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { counters, differences, newTenant, nil, setLimit, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture({ maxBatch: 7, maxFlushes: 4 });
const day = 86_400_000;

const record = (t: UsageTenant, quantity: number, at = new Date(), namespaceId?: string) =>
  t.as(() =>
    f.usage.record({
      id: randomUUID(),
      metric: 'conversations',
      quantity,
      occurredAt: at,
      ...(namespaceId === undefined ? {} : { namespaceId }),
    }),
  );

/** What the tables hold, without the view. */
const stored = (t: UsageTenant) =>
  f.db.query<{ scope: string; period: string; value: number; folded: number | null }>(
    `select namespace_id as scope, period, value::float8 as value, folded::float8 as folded from tenantry.usage_counters
     where tenant_id = $1 and metric = 'conversations' order by namespace_id, period, period_start`,
    [t.tenantId],
  );
const month = async (t: UsageTenant, scope = nil): Promise<number[]> =>
  (await counters(f, t.tenantId, 'conversations'))
    .filter((row) => row.period === 'month' && row.scope === scope)
    .map(({ value }) => value);
const alerts = async (t: UsageTenant): Promise<number[]> =>
  (await t.asAdmin(() => f.usage.alerts())).map(({ level }) => level).toSorted((a, b) => a - b);

/** Puts everything of the organization a day back, as if it had been recorded yesterday and nobody had come since. */
async function passDay({ tenantId }: UsageTenant): Promise<void> {
  await f.db.query('alter table tenantry.usage_events disable trigger append_only');
  await f.db.query(
    `update tenantry.usage_events set occurred_at = occurred_at - interval '1 day' where tenant_id = $1`,
    [tenantId],
  );
  await f.db.query('alter table tenantry.usage_events enable trigger append_only');
  await f.db.query(
    `update tenantry.usage_accounts set day_start = day_start - interval '1 day', day_end = day_end - interval '1 day',
       month_start = date_trunc('month', day_start - interval '1 day', 'UTC'),
       month_end = (date_trunc('month', day_start - interval '1 day', 'UTC') at time zone 'UTC' + interval '1 month') at time zone 'UTC' where tenant_id = $1`,
    [tenantId],
  );
  await f.db.query(
    `update tenantry.usage_counters c set period_start = case c.period when 'day' then a.day_start else a.month_start end,
       period_end = case c.period when 'day' then a.day_end else a.month_end end
     from tenantry.usage_accounts a where a.tenant_id = $1 and c.tenant_id = $1`,
    [tenantId],
  );
}
const firstOfMonth = new Date().getUTCDate() === 1;

describe('C3: the running day is in its month for who reads it, and is folded into it when it is over', () => {
  it('counting touches the day alone; the next day begins with folding it in', async () => {
    const t = await newTenant(f);
    const namespaceId = await t.namespace('staging');
    await record(t, 5, new Date(), namespaceId);
    await record(t, 7);
    expect((await stored(t)).map(({ period, value, folded }) => [period, value, folded])).toEqual([
      ['day', 12, 0],
      ['month', 0, 0],
      ['day', 5, 0],
      ['month', 0, 0],
    ]);
    expect([await month(t), await month(t, namespaceId)]).toEqual([[12], [5]]);

    await passDay(t);
    expect([await month(t), await month(t, namespaceId)]).toEqual([[12], [5]]);
    await record(t, 1);
    const rows = await stored(t);
    expect(rows.filter(({ folded, period }) => period === 'day' && folded !== 0)).toEqual([
      { scope: nil, period: 'day', value: 12, folded: 12 },
      { scope: namespaceId, period: 'day', value: 5, folded: 5 },
    ]);
    expect(rows.filter(({ period }) => period === 'month').map(({ value }) => value)).toEqual(
      firstOfMonth ? [12, 0, 5] : [12, 5],
    );
    expect([await month(t), await month(t, namespaceId)]).toEqual([firstOfMonth ? [12, 1] : [13], [5]]);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  it('late events, amendments and a recount of the running day count once, in the day and in the month', async () => {
    const t = await newTenant(f);
    await record(t, 100);
    await passDay(t);
    await record(t, 10);
    await record(t, 1, new Date(Date.now() - day));
    const id = randomUUID();
    await t.as(() => f.usage.record({ id, metric: 'conversations', quantity: 1000 }));
    await t.as(() => f.usage.amend({ id: `${id}-2`, eventId: id, quantity: 2000, reason: 'measured again' }));
    await record(t, 10_000);
    expect(await month(t)).toEqual(firstOfMonth ? [101, 12_010] : [12_111]);
    expect(await differences(f, t.tenantId)).toEqual([]);

    await f.db.query(
      `update tenantry.usage_counters set value = value + 7, events = events + 1 where tenant_id = $1 and period = 'day'`,
      [t.tenantId],
    );
    expect(await differences(f, t.tenantId)).not.toEqual([]);
    await f.db.query('select tenantry.recount_usage($1)', [t.tenantId]);
    expect(await differences(f, t.tenantId)).toEqual([]);
    await record(t, 20_000);
    expect((await month(t)).at(-1)).toBe(firstOfMonth ? 32_010 : 32_111);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  // on the first of a month yesterday's events reach no level of today's month
  it.skipIf(firstOfMonth)('a month’s levels are found while its day alone is counted, whatever came late', async () => {
    const t = await newTenant(f);
    await setLimit(f, t.tenantId, 'conversations', 100);
    await record(t, 80);
    await passDay(t);
    await record(t, 5);
    expect(await alerts(t)).toEqual([]);
    await record(t, 4, new Date(Date.now() - day)); // 89: the running day has less to go from now on
    expect(await alerts(t)).toEqual([]);
    await record(t, 1);
    expect(await alerts(t)).toEqual([90]);
    await record(t, 10, new Date(Date.now() - day)); // and late ones reach a level by themselves
    expect(await alerts(t)).toEqual([90, 100]);
  });

  // in the first quarter of an hour nothing of the day is before the month
  it.skipIf(Date.now() % day < 900_000)(
    'a day that reaches over its month’s end counts in each for its own part',
    async () => {
      const t = await newTenant(f);
      await record(t, 1);
      // as where the time zones of day and month differ for a while: the month begins with this quarter of an hour
      await f.db.query(
        `update tenantry.usage_accounts set month_start = date_bin('15 minutes', now(), 'epoch') where tenant_id = $1`,
        [t.tenantId],
      );
      await f.db.query('delete from tenantry.usage_counters where tenant_id = $1', [t.tenantId]);
      await record(t, 10);
      await record(t, 100, new Date(Math.floor(Date.now() / day) * day));
      expect(await month(t)).toEqual([100, 10]);
      expect((await stored(t)).map(({ period, value, folded }) => [period, value, folded])).toEqual([
        ['day', 110, 100],
        ['month', 100, 0],
        ['month', 0, 0],
      ]);
    },
  );

  it('of days, months, namespaces and kinds of metrics at once, counters are the ledger', async () => {
    const t = await newTenant(f);
    await f.db.query(
      `insert into tenantry.metrics (name, title, aggregation) values ('seats', 'Seats', 'max'), ('requests', 'Requests', 'count'), ('disk', 'Disk', 'last')`,
    );
    const scopes = [undefined, await t.namespace('one'), await t.namespace('two')];
    const metrics = ['conversations', 'requests', 'seats', 'disk', 'active_end_users'];
    for (let round = 0; round < 3; round += 1) {
      const made: string[] = [];
      await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const namespaceId = scopes[i % 3];
          const metric = metrics[i % 5] as string;
          const id = randomUUID();
          const occurredAt = new Date(Date.now() - (i % 4 === 0 ? (i % 40) * day : 0));
          await t.as(() =>
            f.usage.record({
              id,
              metric,
              quantity: (i % 9) + 1,
              subject: `s${i % 11}`,
              occurredAt,
              ...(namespaceId === undefined ? {} : { namespaceId }),
            }),
          );
          made.push(id);
        }),
      );
      for (const [i, id] of made.slice(0, 8).entries()) {
        if (i % 2 === 0) await t.as(() => f.usage.retract({ id: randomUUID(), eventId: id, reason: 'twice' }));
        else await t.as(() => f.usage.amend({ id: randomUUID(), eventId: id, quantity: 3, reason: 'wrong' }));
      }
      expect(await differences(f, t.tenantId)).toEqual([]);
      const [again] = await f.db.query<{ n: string }>('select tenantry.recount_usage($1) as n', [t.tenantId]);
      expect(again!.n).toBe('0');
    }
  });

  it('batches with late events, namespaces and alerts, of the same organizations at once, never wait in a circle', async () => {
    const tenants = await Promise.all(Array.from({ length: 4 }, () => newTenant(f)));
    for (const t of tenants) await setLimit(f, t.tenantId, 'conversations', 40);
    const spaces = await Promise.all(tenants.map((t) => t.namespace('one')));
    const deadlocks = async (): Promise<number> => {
      await f.db.query('select pg_stat_clear_snapshot()');
      const [row] = await f.db.query<{ n: number }>(
        `select deadlocks::int as n from pg_stat_database where datname = current_database()`,
      );
      return row!.n;
    };
    const before = await deadlocks();
    await Promise.all(
      Array.from({ length: 600 }, (_, i) => {
        const at = new Date(Date.now() - (i % 3) * day);
        const of = (i * 7) % 4;
        return record(tenants[of]!, 1, at, i % 2 === 0 ? spaces[of] : undefined);
      }),
    );
    expect(await deadlocks()).toBe(before);
    for (const t of tenants) expect(await differences(f, t.tenantId)).toEqual([]);
  });
});
