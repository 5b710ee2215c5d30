import { Decimal } from 'decimal.js';
import { TenantryError } from '../../errors.ts';
import { minorDigits } from './currency.ts';

/**
 * Decimals that hold every product of a price, a quantity and a length of time without loss (at most 27 + 27 + 13 digits
 * and their sums), so that the one division at the end, and the one rounding after it, are all that is not exact.
 */
export const Exact = Decimal.clone({ precision: 120, rounding: Decimal.ROUND_HALF_UP, toExpNeg: -200, toExpPos: 200 });
export type Exact = Decimal;

export const zero = new Exact(0);

/** An amount of the main unit in minor units, not yet rounded. */
export const inMinorUnits = (amount: Exact, currency: string): Exact =>
  amount.mul(new Exact(10).pow(minorDigits(currency)));

/**
 * The one rounding rule (decision 0010): an exact amount of minor units becomes a whole number, halves away from zero.
 *
 * @throws TNT_AMOUNT_TOO_LARGE past 2^53 - 1
 */
export function roundedMinor(exact: Exact): number {
  return safeAmount(exact.toDecimalPlaces(0, Decimal.ROUND_HALF_UP).toNumber());
}

/** @throws TNT_AMOUNT_TOO_LARGE */
export function safeAmount(amount: number): number {
  if (Number.isSafeInteger(amount)) return amount === 0 ? 0 : amount; // never -0
  throw new TenantryError('TNT_AMOUNT_TOO_LARGE', 'An amount of the invoice is larger than 2^53 - 1 minor units.');
}
