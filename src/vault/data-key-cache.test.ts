import { describe, expect, it } from 'vitest';
import { DataKeyCache } from './data-key-cache.ts';

const key = (byte: number): Buffer => Buffer.alloc(32, byte);
const zeros = key(0);
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

describe('unwrapped data keys', () => {
  it('are bounded in number: the least recently used goes, and is zeroed', () => {
    const cache = new DataKeyCache({ maxKeys: 2 });
    const keys = [key(1), key(2), key(3)];
    cache.set('1', keys[0]!);
    cache.set('2', keys[1]!);
    expect(cache.use('1', (k) => k[0])).toEqual({ result: 1 });
    cache.set('3', keys[2]!);
    expect([cache.has('1'), cache.has('2'), cache.has('3'), cache.size]).toEqual([true, false, true, 2]);
    expect(keys[1]).toEqual(zeros);
    expect(cache.use('2', () => 'used')).toBeUndefined();
    cache.clear();
    expect(keys).toEqual([zeros, zeros, zeros]);
  });

  it('are bounded in time, also when nobody asks again', async () => {
    const cache = new DataKeyCache({ maxAgeMs: 60 });
    const [idle, asked] = [key(1), key(2)];
    cache.set('idle', idle);
    await pause(200);
    expect([cache.size, idle]).toEqual([0, zeros]);
    const short = new DataKeyCache({ maxAgeMs: 0 });
    short.set('asked', asked);
    await pause(15);
    expect([short.has('asked'), asked]).toEqual([false, zeros]);
    short.clear();
  });

  it('stay whole while they are used: nothing is ever encrypted with zeros', async () => {
    const cache = new DataKeyCache({ maxKeys: 1 });
    const used = key(7);
    cache.set('used', used);
    let release: () => void = () => {};
    const use = cache.use('used', async (k) => {
      await new Promise<void>((done) => (release = done));
      return k[0];
    });
    cache.set('other', key(8));
    expect(cache.has('used')).toBe(false);
    expect(used).toEqual(key(7));
    release();
    expect(await use!.result).toBe(7);
    expect(used).toEqual(zeros);
    const failing = key(9);
    cache.set('failing', failing);
    expect(() =>
      cache.use('failing', () => {
        cache.clear();
        expect(failing).toEqual(key(9));
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(failing).toEqual(zeros);
  });

  it('are not used for a row that holds another one', () => {
    const cache = new DataKeyCache();
    cache.set('same', key(1), 'wrapped');
    expect(cache.use('same', (k) => k[0], 'wrapped')).toEqual({ result: 1 });
    expect(cache.use('same', (k) => k[0], 'restored')).toBeUndefined();
    cache.clear();
  });

  it('are replaced by a newer one of the same name', () => {
    const cache = new DataKeyCache();
    const [old, fresh] = [key(1), key(2)];
    cache.set('same', old);
    cache.set('same', fresh);
    expect([old, cache.use('same', (k) => k[0])?.result, cache.size]).toEqual([zeros, 2, 1]);
    cache.clear();
  });
});
