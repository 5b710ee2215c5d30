import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import type { Kernel } from '../../../src/database/kernel.ts';
import { differences, newTenant, setLimit, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture();

const open: pg.Client[] = [];
afterEach(async () => {
  for (const client of open.splice(0)) await client.end();
});
/** A transaction on a connection of its own. */
async function begin(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  open.push(client);
  await client.connect();
  await client.query('begin');
  return client;
}

const quarter = Math.floor(Date.now() / 900_000);
/** A flush that is not committed yet: each event reaches the limit of its metric. */
const count = (flush: pg.Client, events: readonly (readonly [UsageTenant, string])[]) =>
  flush.query(
    'select tenantry.count_usage($1::uuid[], $2::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::int[], $6, $7::int[], null, $8::text[], true)',
    [
      events.map(([{ tenantId }]) => tenantId),
      events.map(() => null),
      events.map(([, metric]) => metric),
      events.map(() => quarter),
      events.map((_, i) => i + 1),
      events.map(() => randomUUID()).join('\n'),
      events.map(() => 0),
      events.map(() => 'somebody'),
    ],
  );
/** What an audited change of a plan does, up to its commit. */
async function changePlan(change: pg.Client, { tenantId }: UsageTenant): Promise<void> {
  await change.query(`insert into tenantry.audit_log (tenant_id, action) values ($1, 'limits.set')`, [tenantId]);
  await change.query(
    `insert into tenantry.limits (tenant_id, principal_id, metric, quantity) values ($1, $1, 'emails', 1)
     on conflict (tenant_id, principal_id, metric, period) do update set quantity = tenantry.limits.quantity + 1`,
    [tenantId],
  );
}
const waiting = async (clients: readonly pg.Client[]): Promise<void> => {
  const pids = clients.map((client) => (client as unknown as { processID: number }).processID);
  await expect
    .poll(async () => {
      const [row] = await f.db.query<{ n: number }>(
        `select count(*)::int as n from unnest($1::int[]) p(pid) where cardinality(pg_blocking_pids(p.pid)) > 0`,
        [pids],
      );
      return row!.n;
    })
    .toBe(clients.length);
};
const alerts = async (...tenants: readonly UsageTenant[]): Promise<number> => {
  const [row] = await f.db.query<{ n: number }>(
    `select count(*)::int as n from tenantry.outbox where tenant_id = any ($1) and topic = 'usage.alert' and seq is not null`,
    [tenants.map(({ tenantId }) => tenantId)],
  );
  return row!.n;
};
async function limited(...metrics: readonly string[]): Promise<UsageTenant> {
  const t = await newTenant(f);
  await f.db.query('select tenantry.open_usage($1)', [[t.tenantId]]);
  for (const metric of metrics) await setLimit(f, t.tenantId, metric, 1);
  return t;
}

describe('C3, C8: counting, alerts and audited changes never wait for one another in a circle', () => {
  it('a change of a plan before a flush that tells of an alert', async () => {
    const t = await limited('conversations');
    const change = await begin(f.db.adminUrl);
    const flush = await begin(f.db.appUrl);
    await changePlan(change, t);
    const counted = count(flush, [[t, 'conversations']]);
    await waiting([flush]);
    await change.query('commit');
    await counted;
    await flush.query('commit');
    expect(await alerts(t)).toBe(2);
  });

  it('the flush before the change', async () => {
    const t = await limited('conversations');
    const change = await begin(f.db.adminUrl);
    const flush = await begin(f.db.appUrl);
    await count(flush, [[t, 'conversations']]);
    const changed = changePlan(change, t);
    await waiting([change]);
    await flush.query('commit');
    await changed;
    await change.query('commit');
    expect(await alerts(t)).toBe(2);
  });

  it('two flushes that tell the same two organizations of sums and of gauges', async () => {
    const pair = [
      await limited('conversations', 'emails', 'active_end_users'),
      await limited('conversations', 'emails', 'active_end_users'),
    ].toSorted((a, b) => (a.tenantId < b.tenantId ? -1 : 1));
    const [x, y] = pair as [UsageTenant, UsageTenant];
    const heads = await begin(f.db.adminUrl);
    await heads.query(
      'insert into tenantry.tenant_heads (tenant_id) select unnest($1::uuid[]) on conflict do nothing',
      [pair.map(({ tenantId }) => tenantId)],
    );
    await heads.query('commit');
    const [one, other] = [await begin(f.db.appUrl), await begin(f.db.appUrl)];
    await count(one, [
      [y, 'conversations'],
      [x, 'active_end_users'],
    ]);
    await count(other, [
      [x, 'emails'],
      [y, 'active_end_users'],
    ]);
    // whoever commits takes turns at the organization's head; here both stand before it
    await heads.query('begin');
    await heads.query('select from tenantry.tenant_heads where tenant_id = any ($1) for update', [
      pair.map(({ tenantId }) => tenantId),
    ]);
    const commits = [one.query('commit'), other.query('commit')];
    await waiting([one, other]);
    await heads.query('commit');
    await Promise.all(commits);
    expect(await alerts(x, y)).toBe(8);
  });

  it('a transaction of the caller that records an event of today, then one of yesterday, beside others who record', async () => {
    const t = await newTenant(f);
    await f.db.query('select tenantry.open_usage($1)', [[t.tenantId]]);
    const yesterday = new Date(Date.now() - 86_400_000);
    const record = (on?: Kernel, occurredAt?: Date) =>
      f.usage.record({ id: randomUUID(), metric: 'emails', ...(occurredAt === undefined ? {} : { occurredAt }) }, on);
    const other = await begin(f.db.appUrl);
    let counted: Promise<unknown> | undefined;
    await t.as(() =>
      f.kernel.transaction(async (on) => {
        await record(on);
        counted = count(other, [[t, 'emails']]);
        await waiting([other]);
        expect(await record(on, yesterday)).toBe('counted');
      }),
    );
    await counted;
    await other.query('commit');
    expect(await differences(f, t.tenantId)).toEqual([]);
  });
});
