import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withSystem, withTenant } from '../../../src/context/index.ts';
import { createKernel } from '../../../src/database/kernel.ts';
import {
  createFlexibleRateLimiter,
  createMemoryRateLimiter,
  createPostgresRateLimiter,
  createRedisRateLimiter,
  type RateLimiter,
} from '../../../src/metering/rate/index.ts';
import { createPool, type TenantPool } from '../../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { hasRedis, startRedis } from './redis-server.ts';

let db: TestDatabase;
const pools: TenantPool[] = [];
beforeAll(async () => {
  db = await createTestDatabase();
  pools.push(...[1, 2].map(() => createPool({ connectionString: db.appUrl, max: 4 })));
  for (const pool of pools) pool.on('error', () => {}); // a test ends connections on purpose
});
afterAll(async () => {
  for (const pool of pools) await pool.end();
  await db.drop();
});

let serial = 0;
const key = (name = 'k'): string => `tenant-${(serial += 1)}/${name}`;
const hour = 3_600_000;

/** What every store does, seen from several nodes. */
function describeStore(name: string, nodes: () => RateLimiter[]): void {
  describe(`GCRA: ${name}`, () => {
    it('lets the burst through at once, then the even rate, and says when', async () => {
      const [limiter] = nodes();
      const request = { key: key(), rate: { limit: 12_000, periodMs: hour, burst: 3 } }; // one per 300 ms
      const decisions = [];
      for (let i = 0; i < 4; i++) decisions.push(await limiter!.take([request]));
      expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, true, false]);
      expect(decisions.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0]);
      const { retryAfterMs, resetMs, limit } = decisions[3]!;
      expect(limit).toBe(12_000);
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(300);
      expect(resetMs).toBeGreaterThan(600);
      await sleep(retryAfterMs);
      expect(await limiter!.take([request])).toMatchObject({ allowed: true, retryAfterMs: 0 });
    });

    it('admits exactly the limit of a hundred at once, over all nodes', async () => {
      const all = nodes();
      const request = { key: key(), rate: { limit: 40, periodMs: hour } };
      const decisions = await Promise.all(Array.from({ length: 100 }, (_, i) => all[i % all.length]!.take([request])));
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(40);
    });

    it('takes from all scopes or from none', async () => {
      const [limiter] = nodes();
      const tenant = key('tenant');
      const wide = { key: tenant, rate: { limit: 100, periodMs: hour } };
      const narrow = { key: `${tenant}/key`, rate: { limit: 2, periodMs: hour } };
      for (let i = 0; i < 10; i++) await limiter!.take([wide, narrow]);
      const refused = await limiter!.take([wide, narrow]);
      expect(refused).toMatchObject({ allowed: false, key: narrow.key, limit: 2 });
      expect(refused.states.map(({ allowed }) => allowed)).toEqual([true, false]);
      expect(await limiter!.take([{ ...wide, cost: 0 }])).toMatchObject({ allowed: true, remaining: 98 });
    });

    it('many sets in every order meet without a deadlock, and each key keeps its limit', async () => {
      const all = nodes();
      const tenant = key('many');
      const keys = Array.from({ length: 6 }, (_, i) => ({
        key: `${tenant}/${i}`,
        rate: { limit: 25, periodMs: hour },
      }));
      const taken = new Map<string, number>();
      await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const set = [keys[i % 6]!, keys[(i * 5 + 1) % 6]!, keys[(i * 7 + 3) % 6]!].filter(
            (one, at, list) => list.indexOf(one) === at,
          );
          const { allowed } = await all[i % all.length]!.take(i % 2 === 0 ? set : set.toReversed());
          if (allowed) for (const one of set) taken.set(one.key, (taken.get(one.key) ?? 0) + 1);
        }),
      );
      for (const count of taken.values()) expect(count).toBeLessThanOrEqual(25);
      for (const one of keys) {
        const { remaining } = await all[0]!.take([{ ...one, cost: 0 }]);
        expect(remaining).toBe(25 - (taken.get(one.key) ?? 0));
      }
    });

    it('counts costs, looks at no cost, and forgets', async () => {
      const [limiter] = nodes();
      const request = { key: key(), rate: { limit: 10, periodMs: hour } };
      expect(await limiter!.take([{ ...request, cost: 7 }])).toMatchObject({ allowed: true, remaining: 3 });
      expect(await limiter!.take([{ ...request, cost: 4 }])).toMatchObject({ allowed: false, remaining: 3 });
      expect(await limiter!.take([{ ...request, cost: 3 }])).toMatchObject({ allowed: true, remaining: 0 });
      await limiter!.forget([request.key]);
      expect(await limiter!.take([request])).toMatchObject({ allowed: true, remaining: 9 });
    });

    it.each([
      ['no limit at all', []],
      ['a rate of nothing', [{ key: 'k', rate: { limit: 0, periodMs: 1000 } }]],
      ['a period that is no number', [{ key: 'k', rate: { limit: 1, periodMs: Number.NaN } }]],
      ['a cost that could never pass', [{ key: 'k', rate: { limit: 5, periodMs: 1000 }, cost: 6 }]],
      ['a negative cost', [{ key: 'k', rate: { limit: 5, periodMs: 1000 }, cost: -1 }]],
      ['an endless key', [{ key: 'k'.repeat(513), rate: { limit: 5, periodMs: 1000 } }]],
      ['one key twice', [1, 2].map((limit) => ({ key: 'k', rate: { limit, periodMs: 1000 } }))],
    ])('refuses %s, naming the field', async (_, requests) => {
      await expect(nodes()[0]!.take(requests)).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    });
  });
}

const memory = createMemoryRateLimiter();
describeStore('memory', () => [memory]);

let postgres: RateLimiter[] | undefined;
describeStore('PostgreSQL', () => (postgres ??= pools.map((pool) => createPostgresRateLimiter(createKernel(pool)))));

describe('GCRA: PostgreSQL, its own', () => {
  it('answers each caller of a shared statement with its own', async () => {
    const limiter = createPostgresRateLimiter(createKernel(pools[0]!), { maxBatch: 7 });
    const rates = Array.from({ length: 50 }, (_, i) => ({ key: key(), rate: { limit: i + 1, periodMs: hour } }));
    const decisions = await Promise.all(rates.map((request) => limiter.take([request])));
    expect(decisions.map(({ key, limit, remaining }) => [key, limit, remaining])).toEqual(
      rates.map(({ key, rate }, i) => [key, rate.limit, i]),
    );
  });

  it('stands outside the caller’s transaction and tenant', async () => {
    const kernel = createKernel(pools[0]!);
    const limiter = createPostgresRateLimiter(kernel);
    const request = { key: key(), rate: { limit: 1, periodMs: hour } };
    await withTenant({ tenantId: '01890000-0000-7000-8000-000000000001' }, () =>
      kernel
        .transaction(async () => {
          await limiter.take([request]);
          throw new Error('rolled back');
        })
        .catch(() => undefined),
    );
    expect(await limiter.take([request])).toMatchObject({ allowed: false });
  });

  it('sweeps what means nothing any more, and nothing else', async () => {
    const kernel = createKernel(pools[0]!);
    const limiter = createPostgresRateLimiter(kernel);
    const [gone, kept] = [key('gone'), key('kept')];
    await limiter.take([{ key: gone, rate: { limit: 1000, periodMs: 1000 } }]);
    await limiter.take([{ key: kept, rate: { limit: 1, periodMs: hour } }]);
    await sleep(20);
    await withSystem('test', () => kernel.query('select tenantry.rate_sweep(1000)'));
    const rows = await db.query<{ key: string }>('select key from tenantry.rate_states where key = any ($1)', [
      [gone, kept],
    ]);
    expect(rows).toEqual([{ key: kept }]);
    expect(await limiter.take([{ key: kept, rate: { limit: 1, periodMs: hour } }])).toMatchObject({ allowed: false });
  });

  it('is swept while it is asked, and loses no count', async () => {
    const kernel = createKernel(pools[1]!);
    const limiter = createPostgresRateLimiter(createKernel(pools[0]!));
    const request = { key: key(), rate: { limit: 50, periodMs: hour } };
    let over = false;
    const sweeping = withSystem('test', async () => {
      while (!over) await kernel.query('select tenantry.rate_sweep(1000)');
    });
    const decisions = await Promise.all(Array.from({ length: 150 }, () => limiter.take([request])));
    over = true;
    await sweeping;
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(50);
  });

  it('goes on after its connections were cut', async () => {
    const limiter = createPostgresRateLimiter(createKernel(pools[0]!));
    const request = { key: key(), rate: { limit: 5, periodMs: hour } };
    await limiter.take([request]);
    const superuser = new pg.Client({ connectionString: db.superuserUrl });
    await superuser.connect();
    await superuser.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'Tenantry_Test_App'`,
    );
    await superuser.end();
    await sleep(50);
    const decisions = [];
    for (let i = 0; i < 6; i++) decisions.push(await limiter.take([request]).catch(() => undefined));
    expect(decisions.filter((decision) => decision?.allowed === true).length).toBeLessThanOrEqual(4);
    expect(decisions.at(-1)).toMatchObject({ allowed: false });
  });
});

describe('GCRA: memory, its own', () => {
  it('is bounded, and a flood of new keys does not free those at their limit', async () => {
    const limiter = createMemoryRateLimiter({ maxKeys: 100 });
    const rate = { limit: 10, periodMs: hour };
    await limiter.take([{ key: 'full', rate, cost: 10 }]);
    let freed = 0;
    for (let i = 0; i < 5_000; i++) await limiter.take([{ key: `flood-${i}`, rate }]);
    if ((await limiter.take([{ key: 'full', rate }])).allowed) freed += 1;
    expect(freed).toBe(0);
  });

  it('never lets more through than burst and rate, whatever the pattern; and refuses nobody below the rate', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      let at = 0;
      let state = seed;
      const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const limiter = createMemoryRateLimiter({ now: () => at });
      const rate = { limit: 7, periodMs: 1000, burst: 1 + Math.floor(random() * 10) };
      const passed: number[] = [];
      for (let i = 0; i < 500; i++) {
        at += random() * 150;
        if ((await limiter.take([{ key: 'k', rate }])).allowed) passed.push(at);
      }
      let worst = -Infinity;
      for (let i = 0; i < passed.length; i++) {
        for (let j = i; j < passed.length; j++) {
          const most = rate.burst + ((passed[j]! - passed[i]!) * rate.limit) / rate.periodMs;
          worst = Math.max(worst, j - i + 1 - most);
        }
      }
      expect(worst).toBeLessThanOrEqual(0.02);
      const steady = createMemoryRateLimiter({ now: () => at });
      for (let i = 0; i < 100; i++) {
        at += 1000 / 7;
        expect((await steady.take([{ key: 'k', rate: { ...rate, burst: 1 } }])).allowed).toBe(true);
      }
    }
  });
});

// Fixed windows, so only what is promised of them.
describe('rate-limiter-flexible as a store', () => {
  it('limits, gives back what a later scope refuses, looks and forgets', async () => {
    const limiter = createFlexibleRateLimiter(
      (rate) => new RateLimiterMemory({ ...rate, keyPrefix: `${rate.points}` }),
    );
    const wide = { key: 't/wide', rate: { limit: 10, periodMs: hour } };
    const narrow = { key: 't/narrow', rate: { limit: 2, periodMs: hour } };
    for (let i = 0; i < 2; i++) expect(await limiter.take([wide, narrow])).toMatchObject({ allowed: true });
    const refused = await limiter.take([wide, narrow]);
    expect(refused).toMatchObject({ allowed: false, key: narrow.key, remaining: 0 });
    expect(refused.retryAfterMs).toBeGreaterThan(3_500_000);
    expect(await limiter.take([{ ...wide, cost: 0 }])).toMatchObject({ remaining: 8 });
    await limiter.forget([narrow.key]);
    expect(await limiter.take([narrow])).toMatchObject({ allowed: true });
    await expect(limiter.take([{ key: 'k', rate: { limit: 2, periodMs: hour, burst: 1 } }])).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
  });

  it('passes the failures of its store on', async () => {
    const failing = { consume: () => Promise.reject(new Error('store down')) };
    const limiter = createFlexibleRateLimiter(() => failing as never);
    await expect(limiter.take([{ key: 'k', rate: { limit: 1, periodMs: hour } }])).rejects.toThrow('store down');
  });
});

if (hasRedis()) {
  let clients: Awaited<ReturnType<typeof connect>>[] = [];
  let limiters: RateLimiter[] = [];
  let stop: () => Promise<void>;
  const connect = async (url: string) => createClient({ url }).connect();
  beforeAll(async () => {
    const server = await startRedis();
    stop = server.stop;
    clients = await Promise.all([connect(server.url), connect(server.url)]);
    limiters = clients.map((client) => createRedisRateLimiter(client));
  });
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await stop();
  });
  describeStore('Redis', () => limiters);
  describe('GCRA: Redis, its own', () => {
    it('leaves nothing behind: every state ends by itself', async () => {
      await clients[0]!.flushAll();
      await limiters[0]!.take([{ key: key(), rate: { limit: 1000, periodMs: 1000 } }]);
      await limiters[0]!.take([{ key: 'x/y', rate: { limit: 1, periodMs: hour } }]);
      await sleep(30);
      expect(await clients[0]!.keys('*')).toEqual(['tenantry:rate:{x}/y']);
      expect(await clients[0]!.pTTL('tenantry:rate:{x}/y')).toBeGreaterThan(0);
    });

    it('goes on when the server has forgotten the script', async () => {
      await clients[0]!.scriptFlush();
      expect(await limiters[0]!.take([{ key: key(), rate: { limit: 1, periodMs: hour } }])).toMatchObject({
        allowed: true,
      });
    });
  });
} else {
  it.skip('GCRA: Redis is skipped: there is no redis-server (apt-get install redis-server)', () => {});
}
