import type { CreditBalance } from './types.ts';

/** By priority (low first), then what expires first, then what is older: always the same order. */
export function inOrder(credits: readonly CreditBalance[]): CreditBalance[] {
  const expiry = ({ expiresAt }: CreditBalance): number => expiresAt ?? Number.POSITIVE_INFINITY;
  return [...credits].sort(
    (a, b) =>
      a.priority - b.priority || compare(expiry(a), expiry(b)) || a.createdAt - b.createdAt || compare(a.id, b.id),
  );
}

const compare = <T extends number | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

/** How much of each credit an amount uses up; what has expired by `at` counts no more. All in minor units. */
export function useCredits(
  credits: readonly CreditBalance[],
  amount: number,
  at: number,
): { readonly credit: CreditBalance; readonly used: number }[] {
  let open = amount;
  const uses: { credit: CreditBalance; used: number }[] = [];
  for (const credit of inOrder(credits)) {
    if (open <= 0) break;
    if (credit.remaining <= 0 || (credit.expiresAt !== null && credit.expiresAt <= at)) continue;
    const used = Math.min(open, credit.remaining);
    uses.push({ credit, used });
    open -= used;
  }
  return uses;
}
