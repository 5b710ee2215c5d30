import { createHmac } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { describe, expect, it, vi } from 'vitest';
import { clientAddress, houseOf, inNetworks, networks, parseNetwork } from '../../src/keys/addresses.ts';
import { bcryptHere, inTurns } from '../../src/keys/bcrypt.ts';
import { KeyCache } from '../../src/keys/cache.ts';
import { type KeyEntry, keyEntry } from '../../src/keys/entry.ts';
import { normalOrigin, originAllowed } from '../../src/keys/origins.ts';
import { ownConnection } from '../../src/keys/own-connection.ts';
import { createPeppers, parsePeppers } from '../../src/keys/pepper.ts';
import { createThrottle } from '../../src/keys/throttle.ts';
import { createMemoryRateLimiter } from '../../src/metering/rate/memory.ts';

const secret = 'a pepper of more than thirty-two bytes';

describe('peppers', () => {
  it('hash by HMAC-SHA-256 under the version that is asked for', () => {
    const peppers = createPeppers(parsePeppers(`2:${secret}!, 1:${secret}`));
    expect([peppers.current, peppers.versions]).toEqual([2, [2, 1]]);
    expect(peppers.digest(1, 'key')).toEqual(createHmac('sha256', secret).update('key').digest());
    expect(peppers.digest(2, 'key')).toEqual(createHmac('sha256', `${secret}!`).update('key').digest());
    expect(peppers.digest(3, 'key')).toBeUndefined();
    expect(createPeppers(parsePeppers(secret)).current).toBe(1);
    expect(createPeppers([{ version: 7, secret: Buffer.alloc(32) }]).current).toBe(7);
  });

  it.each([
    ['short', [{ version: 1, secret: 'x'.repeat(31) }]],
    [
      'of one version twice',
      [
        { version: 1, secret },
        { version: 1, secret },
      ],
    ],
    ['of version 0', [{ version: 0, secret }]],
    ['none', []],
  ])('are refused: %s', (_, peppers) => {
    expect(() => createPeppers(peppers)).toThrow(expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }));
    try {
      createPeppers(peppers);
    } catch (error) {
      expect((error as Error).message).not.toContain(secret);
    }
  });

  it('are refused where several have no version', () => {
    expect(() => parsePeppers(`${secret},2:${secret}`)).toThrow(
      expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }),
    );
  });
});

describe('C9 origins', () => {
  it.each([
    ['https://shop.example.com', 'https://shop.example.com'],
    ['HTTPS://Shop.Example.com:443', 'https://shop.example.com'],
    ['http://localhost:5173', 'http://localhost:5173'],
    ['https://*.Example.com', 'https://*.example.com'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['https://shop.example.com/', undefined],
    ['https://shop.example.com/path', undefined],
    ['https://user@shop.example.com', undefined],
    ['https://*', undefined],
    ['https://a.*.example.com', undefined],
    ['*', undefined],
    ['null', undefined],
    ['file:', undefined],
    ['shop.example.com', undefined],
  ])('%s is kept as %s', (text, normal) => {
    expect(normalOrigin(text)).toBe(normal);
  });

  it.each([
    ['https://shop.example.com', 'https://shop.example.com', true],
    ['https://shop.example.com', 'https://SHOP.example.com', true],
    ['https://shop.example.com', 'http://shop.example.com', false],
    ['https://shop.example.com', 'https://shop.example.com:8443', false],
    ['https://shop.example.com', 'https://shop.example.com.evil.com', false],
    ['https://shop.example.com', 'https://evil.com?https://shop.example.com', false],
    ['https://*.example.com', 'https://a.example.com', true],
    ['https://*.example.com', 'https://a.b.example.com', true],
    ['https://*.example.com', 'https://example.com', false],
    ['https://*.example.com', 'https://.example.com', false],
    ['https://*.example.com', 'https://evilexample.com', false],
    ['https://*.example.com', 'https://a.example.com.evil.com', false],
    ['https://*.example.com', 'https://*.example.com', false],
    ['https://shop.example.com', 'null', false],
    ['https://shop.example.com', '', false],
    ['https://shop.example.com', undefined, false],
  ])('allowed %s, sent %s: %s', (allowed, sent, right) => {
    expect(originAllowed([allowed], sent)).toBe(right);
  });
});

describe('addresses', () => {
  it.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.0/24', '::ffff:192.0.2.9', true],
    ['2001:db8::/32', '2001:db8:1::9', true],
    ['2001:db8::/32', '[2001:db8:1::9]', true],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:db8::/32', '10.0.0.1', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', 'nonsense', false],
    ['0.0.0.0/0', undefined, false],
  ])('%s holds %s: %s', (network, address, right) => {
    expect(inNetworks(networks([network]), address)).toBe(right);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '10.0.0.0/8/8', 'fe80::1%eth0', '::/129', '', 'x'])(
    '%s is no network',
    (text) => {
      expect(parseNetwork(text)).toBeUndefined();
      expect(inNetworks(networks([text]), '10.0.0.1')).toBe(false);
    },
  );

  const proxies = networks(['10.0.0.0/8']);
  it.each([
    // no proxy is known: the header is anybody's
    ['198.51.100.7', '192.0.2.1', undefined, '198.51.100.7'],
    // the connection is not from a proxy: the header is the caller's own words
    ['198.51.100.7', '192.0.2.1', proxies, '198.51.100.7'],
    ['10.0.0.1', undefined, proxies, '10.0.0.1'],
    ['10.0.0.1', '198.51.100.7', proxies, '198.51.100.7'],
    // what the caller wrote stands in front of what the proxy added
    ['10.0.0.1', '192.0.2.1, 198.51.100.7', proxies, '198.51.100.7'],
    ['10.0.0.1', '192.0.2.1, 198.51.100.7, 10.0.0.2', proxies, '198.51.100.7'],
    ['10.0.0.1', '10.0.0.3, 10.0.0.2', proxies, '10.0.0.3'],
    ['10.0.0.1', '192.0.2.1, nonsense', proxies, undefined],
    ['10.0.0.1', '', proxies, undefined],
    ['::ffff:10.0.0.1', '198.51.100.7', proxies, '198.51.100.7'],
    [undefined, '192.0.2.1', proxies, undefined],
  ])('connection %s, forwarded for %s: %#', (remote, forwarded, trusted, address) => {
    expect(clientAddress(remote, forwarded, trusted)).toBe(address);
  });

  it('count IPv6 by its network', () => {
    expect(houseOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2');
    expect(houseOf('2001:0db8:1:2::9')).toBe('2001:db8:1:2');
    expect(houseOf('2001:db8::9')).toBe('2001:db8:0:0');
    expect(houseOf('::1')).toBe('0:0:0:0');
    expect(houseOf('2001:db8:1:2::')).toBe('2001:db8:1:2');
    expect(houseOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(houseOf(undefined)).toBe('unknown');
  });
});

const entryOf = (keyId: string, askedAt = performance.now(), maxAgeMs = 4_000): KeyEntry =>
  keyEntry(
    JSON.stringify({ keyId, tenantId: 't', kind: 'secret', environment: 'production', permissions: [], limits: {} }),
    askedAt,
    maxAgeMs,
  );

describe('the cache of keys', () => {
  const limits = { maxAgeMs: 4_000, maxKeys: 10, maxUnknown: 10 };
  const trusted = (more: Partial<typeof limits> = {}): KeyCache => {
    const cache = new KeyCache({ ...limits, ...more });
    cache.trusted = true;
    return cache;
  };
  const later = <T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } => {
    let resolve!: (value: T) => void;
    let reject!: (error: Error) => void;
    const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
    return { promise, resolve, reject };
  };

  it('neither keeps nor uses what was read before a change', async () => {
    for (const change of ['drop', 'dropKey', 'dropAll'] as const) {
      const cache = trusted();
      const [first, second] = [later<KeyEntry>(), later<null>()];
      const reads = [first.promise, second.promise];
      const read = vi.fn(() => reads.shift() as Promise<KeyEntry | null>);
      const asked = cache.load('k', read);
      if (change === 'dropAll') cache.dropAll();
      else cache[change]('k');
      // whoever asks now does not join a read from before
      const after = cache.load('k', read);
      first.resolve(entryOf('k'));
      second.resolve(null);
      expect([await asked, await after]).toEqual([null, null]);
      expect(read).toHaveBeenCalledTimes(2);
      expect(cache.get('k', performance.now())).toBeNull();
    }
  });

  it('reads once for all who ask meanwhile, and again after an error', async () => {
    const cache = trusted();
    const read = vi.fn(async () => entryOf('k'));
    await Promise.all(Array.from({ length: 20 }, () => cache.load('k', read)));
    expect(read).toHaveBeenCalledTimes(1);
    expect(cache.get('k', performance.now())?.verified.keyId).toBe('k');
    await expect(cache.load('e', async () => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    expect((await cache.load('e', async () => entryOf('e')))?.verified.keyId).toBe('e');
  });

  it('gives up after five reads that all were overtaken, and keeps none', async () => {
    const cache = trusted();
    const read = vi.fn(async () => {
      cache.drop('k');
      queueMicrotask(() => cache.drop('k'));
      return entryOf('k');
    });
    expect((await cache.load('k', read))?.verified.keyId).toBe('k');
    expect(read).toHaveBeenCalledTimes(5);
    expect(cache.get('k', performance.now())).toBeUndefined();
  });

  it('forgets by age, whatever it hears', async () => {
    const cache = trusted();
    const askedAt = performance.now();
    await cache.load('k', async () => entryOf('k', askedAt));
    await cache.load('none', async () => null);
    expect(cache.get('k', askedAt + 3_999)).toBeDefined();
    expect(cache.get('k', askedAt + 4_000)).toBeUndefined();
    expect(cache.get('none', performance.now())).toBeNull();
    expect(cache.get('none', performance.now() + 4_000)).toBeUndefined();
  });

  it('is bounded, and no guess pushes a key out', async () => {
    const cache = trusted();
    await cache.load('k', async () => entryOf('k'));
    for (let i = 0; i < 1_000; i += 1) await cache.load(`guess ${i}`, async () => null);
    expect(cache.get('k', performance.now())).toBeDefined();
    for (let i = 0; i < 1_000; i += 1) await cache.load(`key ${i}`, async () => entryOf(`key ${i}`));
    expect(cache.size).toBeLessThanOrEqual(10);
  });

  it('asks each time while nothing is heard', async () => {
    const cache = new KeyCache(limits);
    const read = vi.fn(async () => entryOf('k'));
    await cache.load('k', read);
    await cache.load('k', read);
    expect(read).toHaveBeenCalledTimes(2);
    expect(cache.size).toBe(0);
    // lost while it was being read
    cache.trusted = true;
    const slow = later<KeyEntry>();
    const asked = cache.load('k', () => slow.promise);
    cache.trusted = false;
    cache.dropAll();
    const again = vi.fn(async () => entryOf('k'));
    slow.resolve(entryOf('k'));
    await asked;
    expect(again).not.toHaveBeenCalled();
    expect(cache.size).toBe(0);
  });
});

describe('the throttle of wrong keys', () => {
  it('turns an address away that failed too often, and its network of IPv6 with it', async () => {
    const throttle = createThrottle(createMemoryRateLimiter(), { limit: 3, periodMs: 60_000 });
    const address = '2001:db8:1:2::1';
    for (let i = 0; i < 3; i += 1) await throttle.failed(address);
    throttle.admit(address);
    await throttle.failed(address);
    expect(() => throttle.admit('2001:db8:1:2:ffff::9')).toThrow(expect.objectContaining({ code: 'TNT_RATE_LIMITED' }));
    throttle.admit('2001:db8:1:3::1');
    // without an address there is nobody to count: one guesser would lock out everybody
    for (let i = 0; i < 10; i += 1) await throttle.failed(undefined);
    throttle.admit(undefined);
  });

  it('lets it in again, and remembers no more than so many', async () => {
    const rate = { limit: 1, periodMs: 60_000 };
    const throttle = createThrottle({ take: async () => ({ allowed: false, retryAfterMs: 1_000 }) as never }, rate);
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      await throttle.failed('192.0.2.1');
      vi.advanceTimersByTime(999);
      expect(() => throttle.admit('192.0.2.1')).toThrow();
      vi.advanceTimersByTime(1);
      throttle.admit('192.0.2.1');
    } finally {
      vi.useRealTimers();
    }
    const refusing = createThrottle({ take: async () => ({ allowed: false, retryAfterMs: 60_000 }) as never }, rate);
    for (let i = 0; i <= 10_000; i += 1) await refusing.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    refusing.admit('10.0.0.0');
    expect(() => refusing.admit('10.0.39.16')).toThrow();
  });

  it('can be switched off', async () => {
    const throttle = createThrottle(createMemoryRateLimiter(), false);
    for (let i = 0; i < 100; i += 1) await throttle.failed('192.0.2.1');
    throttle.admit('192.0.2.1');
  });
});

describe('bcrypt', () => {
  it('is done two at a time, and only so many wait', async () => {
    let running = 0;
    let most = 0;
    const compare = inTurns(async () => {
      most = Math.max(most, (running += 1));
      await new Promise((done) => setTimeout(done, 5));
      running -= 1;
      return true;
    });
    const results = await Promise.allSettled(Array.from({ length: 40 }, () => compare('text', 'hash')));
    expect(most).toBe(2);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(34);
    const refused = results.find((result) => result.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'TNT_RATE_LIMITED' });
  });

  it('compares in this thread where there is no other', async () => {
    const hash = await bcrypt.hash('sk_old_0123456789', 4);
    const compare = bcryptHere();
    expect([await compare('sk_old_0123456789', hash), await compare('sk_old_012345678', hash)]).toEqual([true, false]);
  });

  it('says what to install where it is absent', async () => {
    const absent = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
    await expect(bcryptHere(() => Promise.reject(absent))('text', 'hash')).rejects.toMatchObject({
      code: 'TNT_DEPENDENCY_MISSING',
      hint: expect.stringContaining('bcryptjs'),
    });
    const broken = new Error('broken');
    await expect(bcryptHere(() => Promise.reject(broken))('text', 'hash')).rejects.toBe(broken);
  });
});

describe('the connection beside a pool', () => {
  it('is not guessed where a pool does not say how it connects, or a pooler stands between', () => {
    expect(ownConnection({})).toBe(false);
    expect(ownConnection({ options: null })).toBe(false);
    expect(ownConnection({ options: {}, settings: { prepares: false } })).toBe(false);
    expect(ownConnection({ options: {} })).toBeTypeOf('function');
  });
});
