import { TenantryError } from '../../errors.ts';
import { decimalAmount } from '../billing/currency.ts';

/**
 * Where Stripe counts a currency otherwise than ISO 4217 (docs.stripe.com/currencies): króna and shilling in hundredths that
 * must be zero, ariary whole, and dinars and rials in thousandths whose last digit must be zero.
 */
const hundredths = new Set(['ISK', 'UGX']);
const whole = new Set(['MGA']);
const tens = new Set(['BHD', 'JOD', 'KWD', 'OMR', 'TND']);

/**
 * An amount of minor units as Stripe counts them.
 *
 * @throws TNT_STRIPE_REFUSED when Stripe cannot say it
 */
export function stripeAmount(amount: number, currency: string): number {
  if (hundredths.has(currency)) return amount * 100;
  if (whole.has(currency) && amount % 100 === 0) return amount / 100;
  if (!whole.has(currency) && !(tens.has(currency) && amount % 10 !== 0)) return amount;
  throw new TenantryError(
    'TNT_STRIPE_REFUSED',
    `Stripe cannot take an amount of ${decimalAmount(amount, currency)} ${currency}: ${
      whole.has(currency) ? 'it counts the currency whole' : 'the last of its three digits must be 0'
    }.`,
    {
      hint: 'Choose prices whose amounts Stripe can say, or collect this invoice in another way. Nothing was sent for it.',
    },
  );
}
