import { describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/database/kernel.ts';
import { checksum, newKey, randomText } from '../../src/keys/format.ts';
import { createKeyFinder } from '../../src/keys/key-finder.ts';
import { keysFixture, newCustomer, refusalOf } from './fixture.ts';

const f = keysFixture({ cache: false, failures: false });

/** The kernel of the fixture, with what it was asked. */
function watched(): { kernel: Kernel; asked: (readonly unknown[])[] } {
  const asked: (readonly unknown[])[] = [];
  const { kernel } = f.t;
  return {
    asked,
    kernel: {
      ...kernel,
      query: (text, values = []) => {
        asked.push(values.flat());
        return kernel.query(text, values);
      },
    },
  };
}
const lookupOf = (key: string): string => key.slice(-61, -49);

describe('keys that are looked up at once', () => {
  it('each get their own answer, and those that are none get none', async () => {
    const [a, b] = [await newCustomer(f), await newCustomer(f)];
    const made = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        (i % 2 === 0 ? a : b).asAdmin(() =>
          f.t.keys.create({
            name: `k${i}`,
            ...(i % 3 === 0 ? { expiresAt: new Date(Date.now() + 3_600_000) } : {}),
          }),
        ),
      ),
    );
    const wrong = Array.from({ length: 100 }, () => newKey('sk_live_').key);
    const asked = made.flatMap(({ key }, i) => [key, ...wrong.slice(i * 3, i * 3 + 3), key]);
    const answers = await Promise.all(
      asked.map((key) =>
        f.t.keys.verify(key).then(
          (v) => v.keyId,
          () => undefined,
        ),
      ),
    );
    const expected = new Map(made.map(({ key, apiKey }) => [key, apiKey.id]));
    expect(answers).toEqual(asked.map((key) => expected.get(key)));
    // the right public part with another's secret
    const [first, second] = made as [(typeof made)[0], (typeof made)[0]];
    const mixed = `sk_live_${lookupOf(first.key)}${second.key.slice(-49, -6)}`;
    const refusals = await Promise.all(
      [mixed + checksum(mixed), first.key].map((key) => refusalOf(f.t.keys.verify(key))),
    );
    expect(refusals[0]).toBe('TNT_KEY_INVALID');
  });

  it('take one statement for a hundred of one turn, one for each alone', async () => {
    const customer = await newCustomer(f);
    const { key } = await customer.asAdmin(() => f.t.keys.create({ name: 'k' }));
    const { kernel, asked } = watched();
    const find = createKeyFinder(kernel);
    const names = [lookupOf(key), ...Array.from({ length: 249 }, () => randomText(12))];
    const found = await Promise.all(names.flatMap((name) => [find(name), find(name)]));
    expect(found.filter((answer) => answer !== null)).toHaveLength(2);
    expect(asked.map((values) => values.length)).toEqual([100, 100, 50]);
    expect(new Set(asked.flat())).toEqual(new Set(names));
    asked.length = 0;
    expect(await find(names[0] as string)).toBe(found[0]);
    expect(await find(names[1] as string)).toBeNull();
    expect(asked).toEqual([[names[0]], [names[1]]]);
  });

  it('do not share an answer that was under way when they were asked for', async () => {
    const customer = await newCustomer(f);
    const { key, apiKey } = await customer.asAdmin(() => f.t.keys.create({ name: 'k' }));
    const { kernel } = f.t;
    let holding = true;
    let changed = (): void => {};
    let answer = (): void => {};
    const wasChanged = new Promise<void>((done) => (changed = done));
    const mayAnswer = new Promise<void>((done) => (answer = done));
    const find = createKeyFinder({
      ...kernel,
      async query(text, values) {
        const rows = await kernel.query(text, values);
        if (!holding) return rows as never;
        holding = false;
        await customer.asAdmin(() => f.t.keys.revoke(apiKey.id));
        changed();
        await mayAnswer;
        return rows as never;
      },
    });
    const before = find(lookupOf(key));
    await wasChanged; // and the answer from before is still on its way
    const after = find(lookupOf(key));
    answer();
    expect(JSON.parse((await before) ?? '{}')).not.toHaveProperty('off');
    expect(JSON.parse((await after) ?? '{}')).toMatchObject({ off: 'revoked' });
  });

  it('fail together when the database does, and the next ones do not', async () => {
    const { kernel } = f.t;
    let broken = true;
    const find = createKeyFinder({
      ...kernel,
      query: (text, values) => (broken ? kernel.query('select 1 / 0') : kernel.query(text, values)),
    });
    const outcomes = await Promise.allSettled([find(randomText(12)), find(randomText(12)), find(randomText(12))]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(find(randomText(12))).rejects.toMatchObject({ code: '22012' });
    broken = false;
    expect(await find(randomText(12))).toBeNull();
  });
});
