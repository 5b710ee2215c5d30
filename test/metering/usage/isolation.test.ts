import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../../src/context/index.ts';
import { counter, newTenant, usageFixture } from './fixture.ts';

const f = usageFixture();

const raw = (tenants: string[], namespaces: (string | null)[] = tenants.map(() => null)) =>
  f.kernel.query<{ answer: string }>(
    `select tenantry.count_usage($1::uuid[], $2::uuid[], array_fill(null::uuid, array[$3::int]), array_fill('emails'::text, array[$3::int]),
       array_fill(floor(extract(epoch from now()) / 900)::bigint, array[$3::int]), array(select generate_series(1, $3::int)),
       (select string_agg($4 || i, E'\\n') from generate_series(1, $3::int) i), array_fill(0, array[$3::int])) as answer`,
    [tenants, namespaces, tenants.length, randomUUID()],
  );

describe('one tenant’s code counts on nobody else’s account', () => {
  it('the counting function refuses rows of another organization, null and mixed ones, within a context', async () => {
    const a = await newTenant(f);
    const b = await newTenant(f);
    for (const tenants of [[b.tenantId], [a.tenantId, b.tenantId], [b.tenantId, a.tenantId]]) {
      await expect(a.as(() => raw(tenants))).rejects.toMatchObject({ code: '42501' });
    }
    await expect(
      a.as(() => f.kernel.query('select tenantry.open_usage(array[$1::uuid])', [b.tenantId])),
    ).rejects.toMatchObject({
      code: '42501',
    });
    await expect(withUser({ userId: a.userId }, () => raw([a.tenantId]))).rejects.toMatchObject({ code: '42501' });
    expect(await counter(f, b.tenantId, 'emails')).toBe(0);
  });

  it('a context that is confined to a namespace counts and corrects in that namespace alone', async () => {
    const a = await newTenant(f);
    const mine = await a.namespace('mine');
    const other = await a.namespace('other');
    await a.as(() => f.usage.record({ id: 'theirs', metric: 'emails', namespaceId: other }));
    const confined = <T>(fn: () => Promise<T>) => withTenant({ tenantId: a.tenantId, namespaceId: mine }, fn);
    await expect(confined(() => raw([a.tenantId], [other]))).rejects.toMatchObject({ code: '42501' });
    await expect(confined(() => raw([a.tenantId], [null]))).rejects.toMatchObject({ code: '42501' });
    await expect(
      confined(() => f.usage.record({ id: 'x', metric: 'emails', namespaceId: other })),
    ).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    expect(await confined(() => f.usage.record({ id: 'y', metric: 'emails' }))).toBe('counted');
    expect(await counter(f, a.tenantId, 'emails', 'day', mine)).toBe(1);
    await expect(
      confined(() => f.usage.retract({ id: 'z', eventId: 'theirs', reason: 'not mine' })),
    ).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
  });

  it('an event cannot name an organization, and without a context there is none', async () => {
    const a = await newTenant(f);
    const b = await newTenant(f);
    const event = { id: '1', metric: 'emails', tenantId: b.tenantId };
    await expect(a.as(() => f.usage.record(event))).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    await expect(f.usage.record({ id: '1', metric: 'emails' })).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
    await expect(withSystem('test', () => f.usage.record({ id: '1', metric: 'emails' }))).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
  });

  it('the same id in two organizations is two events; a namespace of another is refused', async () => {
    const a = await newTenant(f);
    const b = await newTenant(f);
    expect(await Promise.all([a, b].map((t) => t.as(() => f.usage.record({ id: 'same', metric: 'emails' }))))).toEqual([
      'counted',
      'counted',
    ]);
    const foreign = await b.namespace('x');
    await expect(a.as(() => f.usage.record({ id: 'n', metric: 'emails', namespaceId: foreign }))).rejects.toMatchObject(
      { code: 'TNT_NOT_FOUND' },
    );
    await expect(
      a.as(() => f.usage.amend({ id: 'c', eventId: 'only-of-b', quantity: 0, reason: 'x' })),
    ).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
  });

  it('events and counters are written by functions alone, and read by permission', async () => {
    const a = await newTenant(f);
    const b = await newTenant(f);
    await b.as(() => f.usage.record({ id: '1', metric: 'emails' }));
    for (const statement of [
      `insert into tenantry.usage_events (tenant_id, id, metric, quantity, occurred_at) values ('${a.tenantId}', 'x', 'emails', 1, now())`,
      `update tenantry.usage_counters set value = 0`,
      `select tenantry.fold_usage_day('${b.tenantId}')`,
      `delete from tenantry.usage_events`,
      `update tenantry.metrics set alert_levels = '{}'`,
      `select tenantry.close_usage('${a.tenantId}', now())`,
      `select tenantry.recount_usage('${b.tenantId}')`,
      `select tenantry.usage_value('${b.tenantId}', null, 'emails', 'day', now())`,
      `select * from tenantry.usage_limit('${b.tenantId}', 'emails')`,
      `select tenantry.prune_usage('${b.tenantId}', now(), 10)`,
    ]) {
      await expect(
        a.asAdmin(() => f.kernel.query(statement)),
        statement,
      ).rejects.toMatchObject({ code: '42501' });
    }
    for (const table of [
      'usage_events',
      'usage_counters',
      'usage_periods',
      'usage_accounts',
      'usage_alerts',
      'usage_corrections',
      'usage_key_periods',
    ]) {
      expect(await a.asAdmin(() => f.kernel.query(`select * from tenantry.${table}`)), table).toEqual([]);
    }
    const member = await f.db.query<{ id: string }>(`select tenantry.ensure_user($1) as id`, [
      `m-${randomUUID()}@example.com`,
    ]);
    await f.db.query(`insert into tenantry.org_members (tenant_id, user_id) values ($1, $2)`, [
      b.tenantId,
      member[0]!.id,
    ]);
    const asMember = <T>(fn: () => Promise<T>) => withTenant({ tenantId: b.tenantId, userId: member[0]!.id }, fn);
    expect(await asMember(() => f.kernel.query(`select * from tenantry.usage_periods`))).toEqual([]);
    expect(await b.as(() => f.kernel.query(`select * from tenantry.usage_periods`))).toHaveLength(2);
    await expect(asMember(() => f.usage.setAlertLevels('emails', [50]))).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
  });

  it('a record of the ledger is never changed, not by its owner either; it goes with its organization', async () => {
    const a = await newTenant(f);
    await a.as(() => f.usage.record({ id: '1', metric: 'emails' }));
    await expect(
      f.db.query(`update tenantry.usage_events set quantity = 0 where tenant_id = $1`, [a.tenantId]),
    ).rejects.toMatchObject({ code: '42501' });
    await f.db.query(`delete from tenantry.organizations where id = $1`, [a.tenantId]);
    expect(await f.db.query(`select 1 from tenantry.usage_events where tenant_id = $1`, [a.tenantId])).toEqual([]);
    await expect(a.as(() => f.usage.record({ id: '2', metric: 'emails' }))).rejects.toMatchObject({
      code: 'TNT_TENANT_UNKNOWN',
    });
  });
});
