import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text as textOf } from 'node:stream/consumers';
import bcrypt from 'bcryptjs';
import { afterEach, describe, expect, it } from 'vitest';
import { createBcryptThreads, type BcryptThreads, type BcryptThreadsOptions } from '../../src/keys/bcrypt-threads.ts';
import { compileSources } from '../isolation/compiled.ts';
import { eventually } from './fixture.ts';

const key = 'sk_old_0123456789';
const opened: BcryptThreads[] = [];
afterEach(async () => {
  for (const threads of opened.splice(0)) await threads.close();
});

/** Threads, and how often this thread had to do the work. */
function threadsWith(options: BcryptThreadsOptions = {}): { threads: BcryptThreads; here: () => number } {
  let here = 0;
  const threads = createBcryptThreads(async (text, hash) => {
    here += 1;
    return bcrypt.compare(text, hash);
  }, options);
  opened.push(threads);
  return { threads, here: () => here };
}

describe('comparing in threads', () => {
  it('tells right keys from wrong ones, many at once, and this thread goes on meanwhile', async () => {
    const { threads, here } = threadsWith();
    const hash = await bcrypt.hash(key, 12);
    let turns = 0;
    let over = false;
    const turn = (): void => {
      turns += 1;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    expect(await threads.compare(key, hash)).toBe(true);
    over = true;
    // bcryptjs in this thread would let it have three or four
    expect(turns).toBeGreaterThan(20);
    const cheap = await bcrypt.hash(key, 4);
    const texts = Array.from({ length: 4 }, (_, i) => (i % 2 === 0 ? key : `${key}${i}`));
    expect(await Promise.all(texts.map((text) => threads.compare(text, cheap)))).toEqual(
      texts.map((text) => text === key),
    );
    expect(here()).toBe(0);
    expect(threads.size).toBe(4);
    await threads.close();
    expect(threads.size).toBe(0);
  });

  it('passes on what bcryptjs refuses, and goes on', async () => {
    const { threads, here } = threadsWith();
    const hash = await bcrypt.hash(key, 4);
    await expect(threads.compare(key, `$2b$99$${'a'.repeat(53)}`)).rejects.toThrow(/rounds/);
    expect(await threads.compare(key, 'too short')).toBe(false);
    expect(await threads.compare(key, hash)).toBe(true);
    expect(here()).toBe(0);
  });

  it('is done in this thread where bcryptjs is no file, or no thread can run', async () => {
    const hash = await bcrypt.hash(key, 4);
    const noFile = (): string => {
      throw new Error('Cannot find module');
    };
    for (const file of [noFile, () => '/nowhere/bcryptjs.js']) {
      const { threads, here } = threadsWith({ file });
      expect(await threads.compare(key, hash)).toBe(true);
      expect(await threads.compare(`${key}x`, hash)).toBe(false);
      expect(here()).toBe(2);
    }
  });

  it('is done in this thread when the threads are ended in the middle of it', async () => {
    const { threads, here } = threadsWith();
    const hash = await bcrypt.hash(key, 10);
    const asked = threads.compare(key, hash);
    await threads.close();
    expect([await asked, here()]).toEqual([true, 1]);
  });

  it('ends a thread that has had nothing to do for a while, and starts another', async () => {
    const { threads, here } = threadsWith({ idleMs: 1 });
    const hash = await bcrypt.hash(key, 4);
    for (let i = 0; i < 3; i += 1) {
      expect(await threads.compare(key, hash)).toBe(true);
      await eventually(() => threads.size === 0);
    }
    expect(here()).toBe(0);
  });

  it('works from the built package, and keeps no process from ending', async () => {
    const { folder } = await compileSources();
    const script = `
      import { createBcryptThreads } from './keys/bcrypt-threads.js';
      const threads = createBcryptThreads(() => { throw new Error('not in this thread'); });
      console.log(await threads.compare(${JSON.stringify(key)}, process.env.HASH));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: folder,
      env: { ...process.env, HASH: await bcrypt.hash(key, 4) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said, [code]] = await Promise.all([textOf(child.stdout), once(child, 'exit')]);
    expect([said.trim(), code]).toEqual(['true', 0]);
  });
});
