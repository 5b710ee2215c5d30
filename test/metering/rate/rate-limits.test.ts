import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withSystem, withTenant } from '../../../src/context/index.ts';
import { guardRateLimiter } from '../../../src/metering/rate/guard.ts';
import { quoted } from '../../../src/metering/rate/headers.ts';
import {
  createMemoryRateLimiter,
  createPostgresRateLimiter,
  createRateLimits,
  type RateLimiter,
} from '../../../src/metering/rate/index.ts';
import { billingFixture, newCustomer } from '../billing/fixture.ts';
import { hasRedis, startRedis } from './redis-server.ts';

const f = billingFixture();
const hour = 3_600_000;

describe('C8: rate limits by tier', () => {
  it('an organization gets the rate of its plan under the name of the class; without one, the class’s own', async () => {
    const [basic, pro, none] = [await newCustomer(f), await newCustomer(f), await newCustomer(f)];
    await basic.as(() => f.t.billing.subscribe({ plan: 'support-basic' })); // 10 a minute
    await pro.as(() => f.t.billing.subscribe({ plan: 'support-pro' })); // 60 a minute, 20 at once
    const limits = createRateLimits(f.t.kernel, {
      classes: { conversations: { organization: { limit: 2, periodMs: hour } }, other: { organization: 'plan' } },
    });
    const admitted = async (customer: typeof basic, tries: number): Promise<number> => {
      const all = await customer.as(() =>
        Promise.all(Array.from({ length: tries }, () => limits.admit('conversations'))),
      );
      return all.filter(({ allowed }) => allowed).length;
    };
    expect(await admitted(basic, 30)).toBe(10);
    expect(await admitted(pro, 18)).toBe(18);
    expect(await admitted(none, 30)).toBe(2);
    await basic.as(async () => {
      const { headers, allowed } = await limits.admit('conversations');
      expect(allowed).toBe(false);
      expect(headers).toEqual({
        'RateLimit-Policy': '"organization";q=10;w=60',
        RateLimit: expect.stringMatching(/^"organization";r=0;t=\d+$/),
        'Retry-After': expect.stringMatching(/^[1-6]$/),
      });
      await expect(limits.assert('conversations')).rejects.toMatchObject({
        code: 'TNT_RATE_LIMITED',
        status: 429,
        details: { retryAfter: expect.any(Number), headers: { 'Retry-After': expect.any(String) } },
      });
      expect(await limits.admit('other')).toEqual({ allowed: true, decision: undefined, headers: {} });
    });
  });

  it('organizations do not share a limit, and every scope of a request counts, all or nothing', async () => {
    const [a, b] = [await newCustomer(f), await newCustomer(f)];
    const limits = createRateLimits(f.t.kernel, {
      classes: {
        api: {
          organization: { limit: 5, periodMs: hour },
          user: { limit: 3, periodMs: hour },
          namespace: { limit: 100, periodMs: hour },
          address: { limit: 7, periodMs: hour },
        },
      },
    });
    const admit = async (fn: typeof a.as, tries: number): Promise<number> => {
      let passed = 0;
      for (let i = 0; i < tries; i++)
        if ((await fn(() => limits.admit('api', { address: '203.0.113.7' }))).allowed) passed++;
      return passed;
    };
    expect(await admit(a.as, 9)).toBe(3); // the user's
    expect(await admit(a.asMember, 9)).toBe(2); // what is left of the organization's: the refused cost nothing
    expect(await admit(b.as, 9)).toBe(2); // what is left of the address's
    const { headers } = await (await newCustomer(f)).as(() => limits.admit('api'));
    expect(headers['RateLimit-Policy']).toBe('"organization";q=5;w=3600, "user";q=3;w=3600');
  });

  it('works by address where there is no organization yet; a class that there is not is an error', async () => {
    const limits = createRateLimits(f.t.kernel, {
      store: 'memory',
      classes: { login: { address: { limit: 1, periodMs: hour }, organization: { limit: 1, periodMs: hour } } },
    });
    const admit = () => withSystem('sign-in', () => limits.admit('login', { address: '203.0.113.8' }));
    expect((await admit()).allowed).toBe(true);
    expect((await admit()).allowed).toBe(false);
    expect((await limits.admit('login', { address: '203.0.113.9' })).allowed).toBe(true);
    expect((await limits.admit('login')).decision).toBeUndefined();
    for (const name of ['nonsense', 'constructor']) {
      await expect(limits.admit(name)).rejects.toMatchObject({ code: 'TNT_CONFIG_INVALID' });
    }
  });

  it('costs are taken as such, and limits can be started afresh', async () => {
    const limits = createRateLimits(f.t.kernel, { store: 'memory' });
    const request = { key: 'k', rate: { limit: 4, periodMs: hour } };
    expect(await limits.take([{ ...request, cost: 4 }])).toMatchObject({ allowed: true, remaining: 0 });
    await limits.forget(['k']);
    expect(await limits.take([request])).toMatchObject({ allowed: true });
  });
});

describe('rate limits while their store cannot be reached', () => {
  const request = { key: 't/k', rate: { limit: 2, periodMs: hour } };
  const down: RateLimiter = {
    take: () => Promise.reject(new Error('down')),
    forget: () => Promise.reject(new Error('down')),
  };

  it('count in this process, let pass, or refuse, as the class says', async () => {
    const failures: unknown[] = [];
    const limiter = guardRateLimiter(down, { onUnavailable: (error) => failures.push(error) });
    const passed = async (mode?: 'memory' | 'allow') => {
      let count = 0;
      for (let i = 0; i < 5; i++) if ((await limiter.take([request], mode)).allowed) count++;
      return count;
    };
    expect(await passed()).toBe(2);
    expect(await passed('allow')).toBe(5);
    await expect(limiter.take([request], 'refuse')).rejects.toMatchObject({
      code: 'TNT_RATE_STORE_UNAVAILABLE',
      status: 503,
    });
    // asked once and then left alone for a while
    expect(failures).toHaveLength(1);
  });

  it('wait no longer than they may, and come back when the store does', async () => {
    let alive = false;
    const inner = createMemoryRateLimiter();
    const slow: RateLimiter = {
      take: (requests) => (alive ? inner.take(requests) : new Promise(() => {})),
      forget: inner.forget,
    };
    const limiter = guardRateLimiter(slow, { timeoutMs: 30, coolDownMs: 30 });
    await expect(limiter.take([request], 'refuse')).rejects.toMatchObject({ code: 'TNT_RATE_STORE_UNAVAILABLE' });
    alive = true;
    await sleep(40);
    expect(await limiter.take([request], 'refuse')).toMatchObject({ allowed: true, remaining: 1 });
  });

  it('a request that cannot be is the caller’s fault, and no failure of the store', async () => {
    const failures: unknown[] = [];
    const limiter = guardRateLimiter(createMemoryRateLimiter(), { onUnavailable: (error) => failures.push(error) });
    await expect(limiter.take([{ ...request, cost: 3 }])).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    expect(failures).toEqual([]);
  });

  it('through PostgreSQL: a pool whose server is gone', async () => {
    const dead = createServer();
    dead.listen(0, '127.0.0.1');
    await once(dead, 'listening');
    const { port } = dead.address() as AddressInfo;
    dead.close();
    const { createPool } = await import('../../../src/pool/index.ts');
    const { createKernel } = await import('../../../src/database/kernel.ts');
    const pool = createPool({ connectionString: `postgresql://x:y@127.0.0.1:${port}/z` });
    try {
      const limits = createRateLimits(createKernel(pool), {
        classes: {
          open: { organization: { limit: 1, periodMs: hour } },
          closed: { organization: { limit: 1, periodMs: hour }, whenUnavailable: 'refuse' },
        },
      });
      await withTenant({ tenantId: '01890000-0000-7000-8000-000000000001' }, async () => {
        expect((await limits.admit('open')).allowed).toBe(true);
        expect((await limits.admit('open')).allowed).toBe(false);
        await expect(limits.admit('closed')).rejects.toMatchObject({ code: 'TNT_RATE_STORE_UNAVAILABLE' });
      });
    } finally {
      await pool.end();
    }
  });
});

describe('what is refused is refused again without asking', () => {
  it('until the time that was named, and for that rate and cost alone', async () => {
    let asked = 0;
    const inner = createMemoryRateLimiter();
    const limiter = guardRateLimiter({
      take: (requests) => {
        asked += 1;
        return inner.take(requests);
      },
      forget: inner.forget,
    });
    const request = { key: 't/k', rate: { limit: 36_000, periodMs: hour, burst: 2 } }; // one per 100 ms
    await limiter.take([request]);
    await limiter.take([request]);
    const refused = await limiter.take([request]);
    expect([refused.allowed, asked]).toEqual([false, 3]);
    for (let i = 0; i < 10; i++) {
      const again = await limiter.take([request, { key: 't/other', rate: request.rate }]);
      expect(again).toMatchObject({ allowed: false, key: 't/k' });
      expect(again.retryAfterMs).toBeLessThanOrEqual(refused.retryAfterMs + 1);
    }
    expect(asked).toBe(3);
    await limiter.take([{ ...request, rate: { ...request.rate, burst: 3 } }]);
    expect(asked).toBe(4);
    await sleep(refused.retryAfterMs + 100);
    expect((await limiter.take([request])).allowed).toBe(true);
    await limiter.forget(['t/k']);
    expect((await limiter.take([request])).allowed).toBe(true);
  });

  it('with PostgreSQL behind it a refused caller costs the server nothing', async () => {
    const store = createPostgresRateLimiter(f.t.kernel);
    let asked = 0;
    const limiter = guardRateLimiter({
      take: (requests) => {
        asked += 1;
        return store.take(requests);
      },
      forget: store.forget,
    });
    const request = { key: 'hammered', rate: { limit: 1, periodMs: hour } };
    await limiter.take([request]);
    for (let i = 0; i < 100; i++) expect((await limiter.take([request])).allowed).toBe(false);
    expect(asked).toBe(2);
  });
});

describe('a Redis by its URL', () => {
  it.skipIf(!hasRedis())('serves several nodes, is missed while it is killed (-9), and comes back', async () => {
    let server = await startRedis();
    const classes = {
      open: { address: { limit: 3, periodMs: hour } },
      closed: { address: { limit: 3, periodMs: hour }, whenUnavailable: 'refuse' as const },
    };
    const store = server.url as `redis://${string}`;
    const nodes = [1, 2].map(() => createRateLimits(f.t.kernel, { store, classes, coolDownMs: 50 }));
    const passed = async (name: string): Promise<number> => {
      let count = 0;
      for (let i = 0; i < 8; i++) {
        if ((await nodes[i % 2]!.admit(name, { address: '203.0.113.7' })).allowed) count += 1;
      }
      return count;
    };
    try {
      expect(await passed('open')).toBe(3);
      await server.stop();
      await expect(nodes[0]!.admit('closed', { address: '203.0.113.8' })).rejects.toMatchObject({
        code: 'TNT_RATE_STORE_UNAVAILABLE',
      });
      expect((await nodes[0]!.admit('open', { address: '203.0.113.8' })).allowed).toBe(true);
      server = await startRedis(server.port);
      for (let tries = 0; tries < 100; tries++) {
        const back = await nodes[0]!.admit('closed', { address: '203.0.113.9' }).catch(() => undefined);
        if (back?.allowed === true) break;
        expect(tries).toBeLessThan(99);
        await sleep(50);
      }
    } finally {
      for (const node of nodes) await node.close();
      await server.stop();
    }
  });

  it('that is none is an error of the configuration', () => {
    expect(() => createRateLimits(f.t.kernel, { store: 'redis//x' as never })).toThrow('rateLimits.store');
  });
});

describe('headers', () => {
  it('quote what a structured field cannot carry (RFC 9651)', () => {
    expect(quoted('a"b\\c')).toBe('"a\\"b\\\\c"');
    expect(quoted('é\n')).toBe('"??"');
  });
});
