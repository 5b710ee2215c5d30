import { ident, literal } from '../database/sql.ts';
import type { ForeignKey } from './inspection.ts';
import { convert } from './references/comparable.ts';

/** The join of a child's alias with its parent's: `p.id = t.customer_id`. */
export function joinCondition(key: ForeignKey, child: string, parent: string): string {
  const equal = key.columns.map((column, i) => {
    const value = convert(`${child}.${ident(column)}`, key.conversions?.[i] ?? 'none');
    return `${parent}.${ident(key.parentColumns[i] ?? '')} ${key.operators?.[i] ?? '='} ${value}`;
  });
  return [...equal, ...discriminated(key, child)].join(' and ');
}

/** True for a row whose key says where it leads: no column is null, and the discriminator has the key's value. */
export function keyPresent(key: ForeignKey, child: string): string {
  return [...key.columns.map((column) => `${child}.${ident(column)} is not null`), ...discriminated(key, child)].join(
    ' and ',
  );
}

function discriminated({ when }: ForeignKey, child: string): string[] {
  return when === undefined ? [] : [`${child}.${ident(when.column)} = ${literal(when.value)}`];
}

/** The parent's own rows, without those of tables that inherit from it: a key never means those. */
export function parentRows(key: ForeignKey): string {
  return key.parentOnly === true ? `only ${key.parent}` : key.parent;
}
