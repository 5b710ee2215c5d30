import type { Conversion } from '../inspection.ts';

const integers = new Set(['smallint', 'integer', 'bigint']);
const texts = new Set(['text', 'character varying', 'character', 'bpchar', 'name']);

/** How values of a column are compared with a key of another type; undefined where they cannot be. */
export function conversionOf(column: string | undefined, key: string | undefined): Conversion | undefined {
  if (column === undefined || key === undefined) return undefined;
  if (column === key || (integers.has(column) && integers.has(key)) || (texts.has(column) && texts.has(key))) {
    return 'none';
  }
  if (texts.has(column)) return integers.has(key) ? 'to integer' : key === 'uuid' ? 'to uuid' : undefined;
  if (texts.has(key) && (integers.has(column) || column === 'uuid')) return 'to text';
  return undefined;
}

/** A discriminator is text or an enum: something with names in it. */
export function isText(type: string | undefined): boolean {
  return type !== undefined && texts.has(type);
}

/** A value that cannot be converted leads nowhere; it is no error. The key's side stays bare, so that its index serves. */
export function convert(expression: string, conversion: Conversion): string {
  if (conversion === 'none') return expression;
  const text = `${expression}::text`;
  if (conversion === 'to text') return text;
  return conversion === 'to integer'
    ? `case when ${text} ~ '^[0-9]{1,18}$' then ${text}::bigint end`
    : `case when ${text} ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then ${text}::uuid end`;
}
