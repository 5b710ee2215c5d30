/** Which rows of a page a statement takes: those whose line pointer modulo `modulus` is no bit of `mask` (or is it, by the older form). */
export interface Stripe {
  readonly modulus: number;
  readonly mask: bigint;
}

export const wholePages: readonly Stripe[] = [{ modulus: 1, mask: 0n }];

/** Bits of a mask that stay clear of a bigint's sign. */
const modulus = 63;
const count = 10;
/** Stripes in the beginning that are as large as the first. */
export const equal = 3;
/** A uuid, and the line pointer that a row gets beside the one that leads to it. */
const growth = 20;

/**
 * Stripes for a table whose rows take `bytes` each. A page is full, and every row grows: some rows must leave it, each with a new
 * entry in every index. How many depends on the room that is left over when all is done, which is what the last stripe leaves
 * behind: so the last ones shrink, each just large enough for the room that the one before it made. The first ones are equal, so that
 * the indexes take the rows that leave in several turns, and tidy themselves up between them.
 */
export function stripesFor(bytes: number): readonly Stripe[] {
  const shrink = Math.min(0.95, Math.max(0.6, bytes / (bytes + growth)));
  const sizes = Array.from({ length: count }, (_, i) => shrink ** Math.max(0, i - equal + 1));
  const sum = sizes.reduce((all, size) => all + size, 0);
  const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((all, size) => all + size, 0) / sum);
  const masks = sizes.map(() => (1n << BigInt(modulus)) - 1n);
  for (let residue = 0; residue < modulus; residue += 1) {
    // multiples of the golden ratio are spread evenly, however few of them there are
    const at = (residue * 0.618_033_988_749_894_9) % 1;
    const stripe = Math.max(
      0,
      ends.findIndex((end) => at < end),
    );
    masks[stripe] = (masks[stripe] ?? 0n) & ~(1n << BigInt(residue));
  }
  return masks.map((mask) => ({ modulus, mask }));
}

/** Of one size, for statements that take a residue where others take a mask. */
export const equalStripes: readonly Stripe[] = Array.from({ length: 8 }, (_, i) => ({ modulus: 8, mask: BigInt(i) }));
