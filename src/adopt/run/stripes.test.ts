import { describe, expect, test } from 'vitest';
import { stripesFor, wholePages } from './stripes.ts';

const takes = (mask: bigint, residue: number): boolean => ((mask >> BigInt(residue)) & 1n) === 0n;

describe('stripes of a backfill', () => {
  test.each([20, 56, 100, 4000])('rows of %d bytes: each place of a page is in one stripe', (bytes) => {
    const stripes = stripesFor(bytes);
    for (let residue = 0; residue < 63; residue += 1) {
      expect(stripes.filter(({ mask }) => takes(mask, residue))).toHaveLength(1);
    }
    expect(stripes.every(({ modulus }) => modulus === 63)).toBe(true);
  });

  test('the last ones are smaller, the more so the more a row grows', () => {
    const sizes = (bytes: number): number[] =>
      stripesFor(bytes).map(({ mask }) => Array.from({ length: 63 }, (_, r) => takes(mask, r)).filter(Boolean).length);
    const narrow = sizes(56);
    expect(narrow.at(-1)).toBeLessThan((narrow[0] ?? 0) / 2);
    expect(sizes(400).at(-1)).toBeGreaterThan(narrow.at(-1) ?? 0);
  });

  test('whole pages: every row, by the numbers that a script writes', () => {
    expect(wholePages).toEqual([{ modulus: 1, mask: 0n }]);
  });
});
