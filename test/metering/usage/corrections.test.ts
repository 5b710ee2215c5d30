import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { counter, counters, differences, newTenant, type UsageTenant, usageFixture } from './fixture.ts';

const f = usageFixture();

const close = (t: UsageTenant, until: string) => f.db.query(`select tenantry.close_usage($1, $2)`, [t.tenantId, until]);
const corrections = (t: UsageTenant) =>
  f.db.query(
    `select metric, to_char(day_start at time zone 'UTC', 'YYYY-MM-DD') as day, quantity::float8 as quantity, events::int as events, cause
     from tenantry.usage_corrections where tenant_id = $1 and settled_at is null order by id`,
    [t.tenantId],
  );
const record = (t: UsageTenant, id: string, at: string, quantity: number) =>
  t.as(() => f.usage.record({ id, metric: 'conversations', quantity, occurredAt: new Date(at) }));

describe('C3, C4: late and corrected events', () => {
  it('a late event is counted in its own period; of a period that was billed it is also a correction', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    await record(t, 'late, not billed', '2026-08-31T23:59Z', 1);
    expect(await corrections(t)).toEqual([]);
    await close(t, '2026-10-01T00:00Z');
    await Promise.all([
      record(t, 'late 1', '2026-09-10T12:00Z', 2),
      record(t, 'late 2', '2026-09-30T23:59:59.999Z', 3),
      record(t, 'in time', '2026-10-01T00:00Z', 100),
    ]);
    await record(t, 'late 1', '2026-09-10T12:00Z', 2); // sent again
    expect(await corrections(t)).toEqual(
      expect.arrayContaining([
        { metric: 'conversations', day: '2026-09-10', quantity: 2, events: 1, cause: 'late' },
        { metric: 'conversations', day: '2026-09-30', quantity: 3, events: 1, cause: 'late' },
      ]),
    );
    expect(await corrections(t)).toHaveLength(2);
    const months = (await counters(f, t.tenantId, 'conversations')).filter(({ period }) => period === 'month');
    expect(months.map(({ start, value }) => [start.slice(0, 7), value])).toEqual([
      ['2026-08', 1],
      ['2026-09', 10],
      ['2026-10', 100],
    ]);
    const [settled] = await f.db.query<{ n: string }>(
      `select tenantry.settle_usage_corrections($1, array(select id from tenantry.usage_corrections where tenant_id = $1), gen_random_uuid()) as n`,
      [t.tenantId],
    );
    expect(settled!.n).toBe('2');
    expect(await corrections(t)).toEqual([]);
  });

  it('an amendment and a retraction keep the original, happen once, and correct what was billed', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    await record(t, 'b', '2026-09-11T12:00Z', 7);
    await close(t, '2026-10-01T00:00Z');
    const amend = () =>
      t.as(() => f.usage.amend({ id: 'fix', eventId: 'a', quantity: '3.25', reason: 'counted twice by the phone' }));
    expect([await amend(), await amend()]).toEqual(['counted', 'duplicate']);
    expect(await t.as(() => f.usage.retract({ id: 'gone', eventId: 'b', reason: 'a test call' }))).toBe('counted');
    await expect(
      t.as(() => f.usage.retract({ id: 'gone again', eventId: 'b', reason: 'a test call' })),
    ).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
    await expect(t.as(() => f.usage.amend({ id: 'b', eventId: 'a', quantity: 1, reason: 'x' }))).rejects.toMatchObject({
      code: 'TNT_CONFLICT',
    });
    await expect(
      t.as(() => f.usage.amend({ id: 'of a correction', eventId: 'fix', quantity: 1, reason: 'x' })),
    ).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    expect(await corrections(t)).toEqual([
      { metric: 'conversations', day: '2026-09-10', quantity: -1.75, events: 0, cause: 'amended' },
      { metric: 'conversations', day: '2026-09-11', quantity: -7, events: -1, cause: 'retracted' },
    ]);
    expect(await counter(f, t.tenantId, 'conversations')).toBe(3.25);
    const ledger = await f.db.query(
      `select id, quantity::float8 as quantity, corrects from tenantry.usage_events where tenant_id = $1 order by id`,
      [t.tenantId],
    );
    expect(ledger).toEqual([
      { id: 'a', quantity: 5, corrects: null },
      { id: 'b', quantity: 7, corrects: null },
      { id: 'fix', quantity: -1.75, corrects: 'a' },
      { id: 'gone', quantity: -7, corrects: 'b' },
    ]);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  it('twenty amendments at once leave one truth', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        t.as(() => f.usage.amend({ id: `fix ${i}`, eventId: 'a', quantity: i, reason: 'x' })),
      ),
    );
    const [last] = await f.db.query<{ held: number }>(
      `select sum(quantity)::float8 as held from tenantry.usage_events where tenant_id = $1`,
      [t.tenantId],
    );
    expect(await counter(f, t.tenantId, 'conversations')).toBe(last!.held);
    expect(last!.held).toBeGreaterThanOrEqual(0);
    expect(last!.held).toBeLessThan(20);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  it('who closes waits for who counts: an event is in the bill or a correction, never in neither', async () => {
    const t = await newTenant(f);
    await record(t, 'first', '2026-09-10T12:00Z', 1);
    let late = 0;
    const recording = (async () => {
      for (let i = 0; i < 60; i += 1) await record(t, `e${i}`, '2026-09-10T12:00Z', 1);
    })();
    const [bill] = await f.db.query<{ billed: number }>(
      `select tenantry.usage_value($1, null, 'conversations', 'month', '2026-09-10 12:00Z')::float8 as billed from (select pg_sleep(0.05)) s`,
      [t.tenantId],
    );
    const client = await f.db.admin.connect();
    try {
      await client.query('begin');
      await client.query(`select tenantry.close_usage($1, '2026-10-01 00:00Z')`, [t.tenantId]);
      const { rows } = await client.query<{ billed: number }>(
        `select tenantry.usage_value($1, null, 'conversations', 'month', '2026-09-10 12:00Z')::float8 as billed`,
        [t.tenantId],
      );
      bill!.billed = rows[0]!.billed;
      await client.query('commit');
    } finally {
      client.release();
    }
    await recording;
    for (const row of await corrections(t)) late += (row as { quantity: number }).quantity;
    expect(bill!.billed + late).toBe(61);
  });

  it('recount makes damaged counters true again, and says how many were not', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    await f.db.query(`update tenantry.usage_counters set value = 99 where tenant_id = $1 and period = 'day'`, [
      t.tenantId,
    ]);
    await f.db.query(`delete from tenantry.usage_counters where tenant_id = $1 and period = 'month'`, [t.tenantId]);
    expect(await differences(f, t.tenantId)).toHaveLength(2);
    const [changed] = await f.db.query<{ n: string }>(`select tenantry.recount_usage($1) as n`, [t.tenantId]);
    expect(changed!.n).toBe('2');
    expect(await differences(f, t.tenantId)).toEqual([]);
    expect(await counter(f, t.tenantId, 'conversations', 'day')).toBe(5);
  });

  it('what was pruned is never counted again', async () => {
    const t = await newTenant(f);
    await record(t, 'old', '2024-01-10T12:00Z', 5);
    await record(t, 'young', '2026-09-10T12:00Z', 7);
    const [gone] = await f.db.query<{ n: string }>(`select tenantry.prune_usage($1, '2025-01-01 00:00Z', 100) as n`, [
      t.tenantId,
    ]);
    expect(gone!.n).toBe('1');
    await expect(record(t, 'old', '2024-01-10T12:00Z', 5)).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    expect(await record(t, 'young', '2026-09-10T12:00Z', 7)).toBe('duplicate');
    const months = (await counters(f, t.tenantId, 'conversations')).filter(({ period }) => period === 'month');
    expect(months.map(({ value }) => value)).toEqual([5, 7]);
    expect(await differences(f, t.tenantId)).toEqual([]);
  });

  it('C8: a correction by a person is in the audit log, once; one by code of the organization is in the ledger alone', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    const amend = () => f.usage.amend({ id: 'fix', eventId: 'a', quantity: '3.25', reason: 'counted twice' });
    await t.asAdmin(amend);
    await t.asAdmin(amend);
    await t.as(() => f.usage.amend({ id: 'fix by code', eventId: 'a', quantity: 4, reason: 'counted anew' }));
    await t.asAdmin(() => f.usage.retract({ id: 'gone', eventId: 'a', reason: 'a test call' }));
    const entries = await f.db.query(
      `select action, actor_principal_id as actor, details from tenantry.audit_log where tenant_id = $1 and action like 'usage.%' order by seq`,
      [t.tenantId],
    );
    expect(entries).toEqual([
      {
        action: 'usage.amend',
        actor: t.userId,
        details: {
          id: 'fix',
          eventId: 'a',
          metric: 'conversations',
          before: '5',
          quantity: '3.25',
          reason: 'counted twice',
        },
      },
      {
        action: 'usage.retract',
        actor: t.userId,
        details: {
          id: 'gone',
          eventId: 'a',
          metric: 'conversations',
          before: '4',
          quantity: null,
          reason: 'a test call',
        },
      },
    ]);
  });

  const apiKey = async (t: UsageTenant, permissions: string[]) => {
    const [key] = await f.db.query<{ id: string }>(
      `insert into tenantry.api_keys (tenant_id, name, permissions) values ($1, 'k', $2) returning id`,
      [t.tenantId, permissions],
    );
    return { tenantId: t.tenantId, apiKeyId: key!.id };
  };
  const member = async (t: UsageTenant) => {
    const [made] = await f.db.query<{ id: string }>(`select tenantry.ensure_user($1) as id`, [
      `m-${randomUUID()}@example.com`,
    ]);
    await f.db.query(`insert into tenantry.org_members (tenant_id, user_id) values ($1, $2)`, [t.tenantId, made!.id]);
    return { tenantId: t.tenantId, userId: made!.id };
  };
  const endUser = async (t: UsageTenant) => {
    const namespaceId = await t.namespace('production');
    const [made] = await f.db.query<{ id: string }>(
      `insert into tenantry.end_users (tenant_id, namespace_id, external_id) values ($1, $2, 'e') returning id`,
      [t.tenantId, namespaceId],
    );
    return { tenantId: t.tenantId, endUserId: made!.id };
  };

  it('C4: nobody makes a bill smaller without usage.write: not a member, a key, an end user or somebody else’s member', async () => {
    const [t, other] = [await newTenant(f), await newTenant(f)];
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    await close(t, '2026-10-01T00:00Z');
    const refused = { code: 'TNT_FORBIDDEN', status: 403, details: { permission: 'usage.write' } };
    const attackers: Record<string, object> = {
      member: await member(t),
      key: await apiKey(t, ['read', 'write', 'delete', 'usage.read', 'organization.read']),
      'end user': await endUser(t),
      stranger: { tenantId: t.tenantId, userId: other.userId },
      'key of another': { ...(await apiKey(other, ['*'])), tenantId: t.tenantId },
    };
    for (const [who, context] of Object.entries(attackers)) {
      const attack = <T>(fn: () => Promise<T>) => withTenant(context as { tenantId: string }, fn);
      const amend = { id: 'fix', eventId: 'a', quantity: 0, reason: 'mine' };
      await expect(
        attack(() => f.usage.amend(amend)),
        who,
      ).rejects.toMatchObject(refused);
      await expect(
        attack(() => f.usage.retract({ id: 'gone', eventId: 'a', reason: 'mine' })),
        who,
      ).rejects.toMatchObject(refused);
      await expect(
        attack(() => f.kernel.transaction((tx) => f.usage.amend(amend, tx))),
        who,
      ).rejects.toMatchObject(refused);
      // whether there is such an event is not told either
      await expect(
        attack(() => f.usage.amend({ ...amend, eventId: 'no such event' })),
        who,
      ).rejects.toMatchObject(refused);
      await expect(
        attack(() => f.kernel.query(`select tenantry.correct_usage('fix', 'a', 0, 'mine')`)),
        who,
      ).rejects.toMatchObject({ code: '42501' });
    }
    expect(await f.db.query('select id from tenantry.usage_events where tenant_id = $1', [t.tenantId])).toEqual([
      { id: 'a' },
    ]);
    expect(await corrections(t)).toEqual([]);
    expect(await counter(f, t.tenantId, 'conversations')).toBe(5);
    expect(
      await f.db.query(`select 1 from tenantry.audit_log where tenant_id = $1 and action like 'usage.%'`, [t.tenantId]),
    ).toEqual([]);
  });

  it('C4: who holds usage.write corrects, the organization’s own code too; what a key corrected is in the audit log', async () => {
    const t = await newTenant(f);
    await record(t, 'a', '2026-09-10T12:00Z', 5);
    const key = await apiKey(t, ['usage.write']);
    const amend = (id: string, quantity: number) => () => f.usage.amend({ id, eventId: 'a', quantity, reason: 'x' });
    expect(await t.asAdmin(amend('by the owner', 4))).toBe('counted');
    expect(await withTenant(key, amend('by a key', 3))).toBe('counted');
    expect(await t.as(amend('by code', 2))).toBe('counted');
    expect(await counter(f, t.tenantId, 'conversations')).toBe(2);
    const entries = await f.db.query(
      `select actor_principal_id as actor, details ->> 'id' as id from tenantry.audit_log where tenant_id = $1 order by seq`,
      [t.tenantId],
    );
    expect(entries).toEqual([
      { actor: t.userId, id: 'by the owner' },
      { actor: key.apiKeyId, id: 'by a key' },
    ]);
  });
});
