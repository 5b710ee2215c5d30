/** Digits after the point by ISO 4217 (list of 2024), where they are not two. Not from Intl: its data changes with Node. */
const digits: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    [
      'BIF',
      'CLP',
      'DJF',
      'GNF',
      'ISK',
      'JPY',
      'KMF',
      'KRW',
      'PYG',
      'RWF',
      'UGX',
      'VND',
      'VUV',
      'XAF',
      'XOF',
      'XPF',
    ].map((code) => [code, 0]),
  ),
  ...Object.fromEntries(['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((code) => [code, 3])),
};

/** How many digits the minor unit of a currency has: USD 2, JPY 0, KWD 3. */
export const minorDigits = (currency: string): number => digits[currency] ?? 2;

/**
 * An amount in minor units as a decimal text of the main unit: 1234 USD is "12.34", 1234 JPY "1234", 1234 KWD "1.234".
 *
 * @param amount - minor units, a whole number
 */
export function decimalAmount(amount: number, currency: string): string {
  const places = minorDigits(currency);
  const text = String(Math.abs(amount)).padStart(places + 1, '0');
  const sign = amount < 0 ? '-' : '';
  return places === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -places)}.${text.slice(-places)}`;
}
