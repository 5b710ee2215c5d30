import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import type { LimitConsume } from '../../../src/metering/limits/index.ts';
import { createPool } from '../../../src/pool/index.ts';
import { createTenantry, type Tenantry } from '../../../src/tenantry.ts';
import { billingFixture, type Customer, newCustomer } from '../billing/fixture.ts';

const f = billingFixture();
const event = (): string => randomUUID();
const consume = (input: Omit<LimitConsume, 'eventId'>, t: Tenantry = f.t) =>
  t.limits.consume({ eventId: event(), ...input });
/** How many of many calls went through; every other must have been refused for the limit. */
async function admitted(calls: readonly Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(calls);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
  }
  return results.filter(({ status }) => status === 'fulfilled').length;
}
const used = async (customer: Customer, metric: string): Promise<number> => {
  const [row] = await f.db.query<{ value: string }>(
    `select value from tenantry.usage_periods where tenant_id = $1 and metric = $2 and period = 'month'
     and namespace_id = '00000000-0000-0000-0000-000000000000'`,
    [customer.tenantId, metric],
  );
  return Number(row?.value ?? 0);
};
const namespaceKey = async (customer: Customer, namespaceLimits: object, keyLimits: object) => {
  const namespace = await customer.as(() =>
    f.t.namespaces.create({ name: randomUUID(), limits: namespaceLimits as never }),
  );
  const [key] = await f.db.query<{ id: string }>(
    `insert into tenantry.api_keys (tenant_id, namespace_id, name, permissions, limits) values ($1, $2, 'k', '{read,write}', $3) returning id`,
    [customer.tenantId, namespace.id, keyLimits],
  );
  return { tenantId: customer.tenantId, namespaceId: namespace.id, apiKeyId: key!.id };
};

describe('limits: 200 at once', () => {
  it('against 50 left admit exactly 50, over two processes’ pools', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'conversations', limit: 50 }));
    const pool = createPool({ connectionString: f.db.appUrl, max: 12 });
    const other = createTenantry({ pool });
    try {
      const calls = Array.from({ length: 200 }, (_, i) =>
        withTenant({ tenantId: customer.tenantId }, () =>
          consume({ metric: 'conversations' }, i % 2 === 0 ? f.t : other),
        ),
      );
      expect(await admitted(calls)).toBe(50);
    } finally {
      await other.close();
      await pool.end();
    }
    expect(await used(customer, 'conversations')).toBe(50);
  });

  it('reserved and consumed at the same time, committed and given back meanwhile, never pass the limit', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'memories', limit: 30 }));
    let committed = 0;
    const calls = Array.from({ length: 120 }, (_, i) =>
      withTenant({ tenantId: customer.tenantId }, async () => {
        if (i % 3 === 0) {
          await consume({ metric: 'memories' });
          committed += 1;
          return;
        }
        const reservation = await f.t.limits.reserve({ metric: 'memories' });
        if (i % 3 === 1) {
          await reservation.commit();
          committed += 1;
        } else await reservation.release();
      }),
    );
    await admitted(calls);
    expect(committed).toBeLessThanOrEqual(30);
    expect(await used(customer, 'memories')).toBe(committed);
    // what was given back is free again, to the last one
    const rest = Array.from({ length: 40 }, () =>
      withTenant({ tenantId: customer.tenantId }, () => consume({ metric: 'memories' })),
    );
    expect(await admitted(rest)).toBe(30 - committed);
  });

  it('are atomic over key, namespace and organization: what one refuses costs none of them', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'api_calls', limit: 40 }));
    const narrow = await namespaceKey(customer, { api_calls: 25 }, { api_calls: 10 });
    const wide = await namespaceKey(customer, {}, {});
    const [a, b] = await Promise.all([
      admitted(Array.from({ length: 60 }, () => withTenant(narrow, () => consume({ metric: 'api_calls' })))),
      admitted(Array.from({ length: 60 }, () => withTenant(wide, () => consume({ metric: 'api_calls' })))),
    ]);
    expect(a).toBeLessThanOrEqual(10);
    expect(a + b).toBe(40);
    expect(await used(customer, 'api_calls')).toBe(40);
  });
});

describe('limits: a caller with an old snapshot', () => {
  it('is told to try again, and never reads a stale sum', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'memories', limit: 1 }));
    const take = `select allowed from tenantry.limit_take('consume', 'memories', 1, null, null, null, null, $1)`;
    await withTenant({ tenantId: customer.tenantId }, async () => {
      const client = await f.pool.connect();
      try {
        await client.query('begin isolation level repeatable read');
        await client.query('select count(*) from tenantry.limits');
        await consume({ metric: 'memories' });
        await expect(client.query(take, [event()])).rejects.toMatchObject({ code: '40001' });
      } finally {
        await client.query('rollback');
        client.release();
      }
    });
    expect(await used(customer, 'memories')).toBe(1);
  });
});

describe('B4: limits of a key', () => {
  it('refuse what is past them whatever the organization has left, hold that key alone, and bill where they are soft', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'api_calls', limit: 100 }));
    const limited = await namespaceKey(customer, {}, { api_calls: 3, memories_per_day: { limit: 2, hard: false } });
    const other = await namespaceKey(customer, {}, {});
    await withTenant(limited, async () => {
      expect(await admitted(Array.from({ length: 8 }, () => consume({ metric: 'api_calls' })))).toBe(3);
      await expect(consume({ metric: 'api_calls' })).rejects.toMatchObject({
        code: 'TNT_LIMIT_EXCEEDED',
        message: expect.stringContaining('key') as string,
        details: { limit: { scope: 'api_key', limit: 3, used: 3, period: 'month' } },
      });
      await expect(f.t.limits.reserve({ metric: 'api_calls' })).rejects.toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
      expect(await consume({ metric: 'memories', quantity: 5 })).toMatchObject({ allowed: true, overage: 3 });
    });
    expect(
      await withTenant(other, () => admitted(Array.from({ length: 8 }, () => consume({ metric: 'api_calls' })))),
    ).toBe(8);
    expect(await used(customer, 'api_calls')).toBe(11);
  });
});

describe('B3: limits of namespaces', () => {
  it('override the plan of the organization, both ways, and null is unlimited', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.billing.subscribe({ plan: 'memory-trial' })); // 1000 memories a month, hard
    const tight = await namespaceKey(customer, { memories_per_month: 5 }, {});
    const open = await namespaceKey(customer, { memories_per_month: null }, {});
    const inherits = await namespaceKey(customer, {}, {});
    await withTenant(tight, async () => {
      await consume({ metric: 'memories', quantity: 5 });
      await expect(consume({ metric: 'memories' })).rejects.toMatchObject({
        code: 'TNT_LIMIT_EXCEEDED',
        details: { limit: { scope: 'namespace', limit: 5, period: 'month' } },
      });
    });
    await withTenant(open, () => consume({ metric: 'memories', quantity: 5_000 }));
    await expect(withTenant(inherits, () => consume({ metric: 'memories' }))).rejects.toMatchObject({
      details: { limit: { scope: 'organization', source: 'plan', limit: 1000, used: 5_005 } },
    });
  });

  it('per day beside per month', async () => {
    const customer = await newCustomer(f);
    const context = await namespaceKey(customer, { api_calls_per_day: 3, api_calls_per_month: 100 }, {});
    await withTenant(context, async () => {
      await consume({ metric: 'api_calls', quantity: 3 });
      const { allowed, limits } = await f.t.limits.check({ metric: 'api_calls' });
      expect(allowed).toBe(false);
      expect(limits.map(({ period, limit, remaining }) => [period, limit, remaining])).toEqual([
        ['day', 3, 0],
        ['month', 100, 97],
      ]);
    });
  });

  it('stand inside a budget of the organization’s own', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.limits.set({ metric: 'memories', limit: 8 }));
    const context = await namespaceKey(customer, { memories: 100 }, {});
    await withTenant(context, async () => {
      await consume({ metric: 'memories', quantity: 8 });
      await expect(consume({ metric: 'memories' })).rejects.toMatchObject({
        details: { limit: { scope: 'organization', source: 'organization', limit: 8 } },
      });
    });
  });

  it('an inactive namespace takes nothing', async () => {
    const customer = await newCustomer(f);
    const context = await namespaceKey(customer, {}, {});
    await customer.as(() => f.t.namespaces.update(context.namespaceId, { active: false }));
    await expect(withTenant(context, () => consume({ metric: 'memories' }))).rejects.toMatchObject({
      code: 'TNT_NAMESPACE_INACTIVE',
    });
  });
});

describe('C8: past the limit, by tier', () => {
  it('a basic plan refuses, with standard headers; a pro plan lets through and counts overage', async () => {
    const [basic, pro] = [await newCustomer(f), await newCustomer(f)];
    await basic.as(() => f.t.billing.subscribe({ plan: 'support-basic' })); // 500, hard
    await pro.as(() => f.t.billing.subscribe({ plan: 'support-pro' })); // 5000, soft
    await basic.as(async () => {
      const { overage, headers } = await consume({ metric: 'conversations', quantity: 499 });
      expect(overage).toBe(0);
      expect(headers['RateLimit-Policy']).toMatch(
        /^"conversations;organization;month";q=500;w=\d+;qu="conversations"$/,
      );
      await expect(consume({ metric: 'conversations', quantity: 2 })).rejects.toMatchObject({
        code: 'TNT_LIMIT_EXCEEDED',
        status: 429,
        message: expect.stringContaining('1 left'),
        details: {
          headers: {
            RateLimit: expect.stringMatching(/^"conversations;organization;month";r=1;t=\d+$/),
            'Retry-After': expect.stringMatching(/^\d+$/),
          },
        },
      });
      await consume({ metric: 'conversations' });
    });
    await pro.as(async () => {
      expect(await consume({ metric: 'conversations', quantity: 4_999 })).toMatchObject({ overage: 0 });
      expect(await consume({ metric: 'conversations', quantity: 3 })).toMatchObject({ allowed: true, overage: 2 });
      expect(await consume({ metric: 'conversations', quantity: 3 })).toMatchObject({ allowed: true, overage: 3 });
    });
    expect(await used(pro, 'conversations')).toBe(5_005);
  });

  it('an event that is sent again is neither counted again nor refused', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'conversations', limit: 1 });
      const eventId = event();
      expect(await f.t.limits.consume({ metric: 'conversations', eventId })).toMatchObject({ outcome: 'counted' });
      expect(await f.t.limits.consume({ metric: 'conversations', eventId })).toMatchObject({ outcome: 'duplicate' });
      await expect(f.t.limits.consume({ metric: 'conversations', eventId, quantity: 2 })).rejects.toMatchObject({
        code: 'TNT_CONFLICT',
      });
      await expect(consume({ metric: 'conversations' })).rejects.toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
    });
    expect(await used(customer, 'conversations')).toBe(1);
  });

  it('decimals are exact: ten tenths are one', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'emails', limit: 1 });
      for (let i = 0; i < 10; i++) await consume({ metric: 'emails', quantity: '0.1' });
      await expect(consume({ metric: 'emails', quantity: '0.000000000001' })).rejects.toMatchObject({
        code: 'TNT_LIMIT_EXCEEDED',
      });
    });
  });
});

describe('limits: reservations', () => {
  it('hold a place, count what was used, and give back the rest', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 10 });
      const reservation = await f.t.limits.reserve({ metric: 'memories', quantity: 8 });
      await expect(consume({ metric: 'memories', quantity: 3 })).rejects.toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
      const [state] = (await f.t.limits.check({ metric: 'memories' })).limits;
      expect(state).toMatchObject({ used: 0, reserved: 8, remaining: 2 });
      expect(await reservation.commit(5)).toBe('counted');
      expect(await reservation.commit(5)).toBe('duplicate');
      expect(await reservation.release()).toBe(false);
      await expect(reservation.extend()).rejects.toMatchObject({ code: 'TNT_RESERVATION_ENDED' });
      const [after] = (await f.t.limits.check({ metric: 'memories' })).limits;
      expect(after).toMatchObject({ used: 5, reserved: 0, remaining: 5 });
    });
  });

  it('are committed by another process, by id, and by no other organization', async () => {
    const [customer, stranger] = [await newCustomer(f), await newCustomer(f)];
    const { id } = await customer.as(() => f.t.limits.reserve({ metric: 'memories', quantity: 4 }));
    await expect(stranger.as(() => f.t.limits.reservation(id))).rejects.toMatchObject({
      code: 'TNT_RESERVATION_ENDED',
    });
    expect(await stranger.as(() => f.t.kernel.query('select tenantry.limit_release($1::uuid) as done', [id]))).toEqual([
      { done: false },
    ]);
    await customer.as(async () => {
      const reservation = await f.t.limits.reservation(id);
      expect(await reservation.extend(60_000)).toBeInstanceOf(Date);
      expect(await reservation.commit()).toBe('counted');
    });
    expect(await used(customer, 'memories')).toBe(4);
  });

  it('that were abandoned free their place when they expire; what is committed late is counted all the same', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 1 });
      const abandoned = await f.t.limits.reserve({ metric: 'memories', ttlMs: 1_000 });
      await expect(f.t.limits.reserve({ metric: 'memories' })).rejects.toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
      await f.db.query(`update tenantry.limit_reservations set expires_at = now() where id = $1`, [abandoned.id]);
      await consume({ metric: 'memories' });
      await expect(abandoned.extend()).rejects.toMatchObject({ code: 'TNT_RESERVATION_ENDED' });
      expect(await abandoned.commit()).toBe('counted');
    });
    expect(await used(customer, 'memories')).toBe(2);
  });

  it('run with the work: committed with what it used, released when it fails', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 5 });
      expect(
        await f.t.limits.during({ metric: 'memories', quantity: 5 }, async () => ({ used: 2, text: 'x' })),
      ).toEqual({
        used: 2,
        text: 'x',
      });
      await expect(
        f.t.limits.during({ metric: 'memories', quantity: 3 }, async () => {
          throw new Error('work failed');
        }),
      ).rejects.toThrow('work failed');
      const [state] = (await f.t.limits.check({ metric: 'memories' })).limits;
      expect(state).toMatchObject({ used: 2, reserved: 0 });
    });
  });
});

describe('limits: of the organization, its keys and its end users', () => {
  it('take limits.write, and leave an entry in the audit log', async () => {
    const customer = await newCustomer(f);
    await expect(customer.asMember(() => f.t.limits.set({ metric: 'memories', limit: 5 }))).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 5 });
      await f.t.limits.set({ metric: 'memories', limit: 7, hard: false });
      expect(await f.t.limits.list()).toEqual([
        { metric: 'memories', period: 'month', limit: 7, hard: false, endUserId: null },
      ]);
      expect(await f.t.limits.list({ endUserId: 'nobody' })).toEqual([]);
      await expect(customer.asMember(() => f.t.limits.remove({ metric: 'memories' }))).rejects.toMatchObject({
        code: 'TNT_FORBIDDEN',
      });
      expect(await f.t.limits.remove({ metric: 'memories' })).toMatchObject({ limit: 7 });
      expect(await f.t.limits.remove({ metric: 'memories' })).toBeNull();
      const { items } = await f.t.audit.list();
      expect(items.map(({ action }) => action)).toEqual(
        expect.arrayContaining(['limits.remove', 'limits.set', 'limits.set']),
      );
    });
  });

  it('of an end user come on top', async () => {
    const customer = await newCustomer(f);
    await customer.as(() => f.t.namespaces.create({ name: 'main' }));
    const endUser = await customer.as(() => f.t.endUsers.ensure({ externalId: 'e1' }));
    await customer.as(() => f.t.limits.set({ metric: 'memories', limit: 2, endUserId: endUser.id }));
    await withTenant(
      { tenantId: customer.tenantId, namespaceId: endUser.namespaceId, endUserId: endUser.id },
      async () => {
        await consume({ metric: 'memories' });
        await (await f.t.limits.reserve({ metric: 'memories' })).commit();
        await expect(consume({ metric: 'memories' })).rejects.toMatchObject({
          details: { limit: { scope: 'end_user', limit: 2, used: 2 } },
        });
      },
    );
    await customer.as(() => consume({ metric: 'memories' }));
  });

  it('cannot be set for, or taken from, another organization', async () => {
    const [a, b] = [await newCustomer(f), await newCustomer(f)];
    await b.as(() => f.t.namespaces.create({ name: 'main' }));
    const foreign = await b.as(() => f.t.endUsers.ensure({ externalId: 'e1' }));
    const key = await namespaceKey(b, {}, {});
    await a.as(async () => {
      await expect(f.t.limits.set({ metric: 'memories', limit: 1, endUserId: foreign.id })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(consume({ metric: 'memories', namespaceId: key.namespaceId })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(consume({ metric: 'memories', apiKeyId: key.apiKeyId })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(consume({ metric: 'memories', endUserId: foreign.id })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
    });
    // a key is confined to its namespace
    const other = await namespaceKey(b, {}, {});
    await expect(
      withTenant(key, () => consume({ metric: 'memories', namespaceId: other.namespaceId })),
    ).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    // and without any tenant there is nothing
    expect(await f.db.query('select 1 from tenantry.usage_events where tenant_id = $1', [a.tenantId])).toEqual([]);
  });

  it.each([
    ['a metric that there is not', { metric: 'nonsense' }, 'TNT_METRIC_UNKNOWN'],
    ['nothing', { metric: 'memories', quantity: 0 }, 'TNT_INPUT_INVALID'],
    ['less than nothing', { metric: 'memories', quantity: -1 }, 'TNT_INPUT_INVALID'],
    ['a number that is none', { metric: 'memories', quantity: Number.NaN }, 'TNT_INPUT_INVALID'],
  ])('refuse %s', async (_, input, code) => {
    const customer = await newCustomer(f);
    await expect(customer.as(() => consume(input))).rejects.toMatchObject({ code });
  });

  it('the application’s login writes reservations, counters and gates only through the functions', async () => {
    const customer = await newCustomer(f);
    for (const text of [
      `insert into tenantry.limit_reservations (tenant_id, metric, quantity, reserved_at, expires_at) values ($1::uuid, 'x', 1, now(), now())`,
      `update tenantry.limit_reservations set expires_at = now() where tenant_id = $1::uuid`,
      `delete from tenantry.limit_counters where tenant_id = $1::uuid`,
      `select * from tenantry.limit_gates where tenant_id = $1::uuid`,
      `select * from tenantry.rate_states where key = $1::uuid::text`,
    ]) {
      await expect(customer.as(() => f.t.kernel.query(text, [customer.tenantId]))).rejects.toMatchObject({
        code: '42501',
      });
    }
  });
});

describe('F4: scoped queries of limits use an index', () => {
  it.each([
    `select sum(r.quantity) from tenantry.limit_reservations r where r.tenant_id = $1 and r.metric = 'memories' and r.expires_at > now()`,
    `select * from tenantry.limits l where l.tenant_id = $1 and l.metric = 'memories' and l.principal_id = $1`,
    `select * from tenantry.limit_counters c where c.tenant_id = $1 and c.principal_id = $1 and c.metric = 'memories' and c.period = 'day' and c.period_start = now()`,
  ])('%s', async (text) => {
    await f.db.query(
      `insert into tenantry.limit_reservations (tenant_id, metric, quantity, reserved_at, expires_at)
       select o.id, 'emails', 1, now(), now() from tenantry.organizations o cross join generate_series(1, 200) i`,
    );
    await f.db.query('analyze tenantry.limit_reservations');
    const customer = await newCustomer(f);
    const client = await f.db.admin.connect();
    try {
      await client.query('begin');
      await client.query('set local enable_seqscan = off'); // small tables: whether an index can serve, not whether it pays
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `explain (costs off) ${text.replaceAll('$1', `'${customer.tenantId}'::uuid`)}`,
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toMatch(/Index.*\n(.*\n)?\s*Index Cond: \(\(?tenant_id/);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
