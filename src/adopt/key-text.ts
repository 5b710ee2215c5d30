import { ident } from '../database/sql.ts';
import type { TableName } from './inspection.ts';

/** A column that holds a part of an organization's key. */
export interface KeyColumn {
  readonly name: string;
  /** Its type without what a domain or a length adds, as format_type prints it. */
  readonly type: string;
}

/** The columns that hold the organization's key in a row: of the root table, or of the tables that a mapping query reaches. */
export type OrganizationKeys = Readonly<Record<TableName, readonly KeyColumn[]>>;

/**
 * A value as text that is the same in every session: the text of a date follows DateStyle, that of bytes bytea_output, and a
 * trigger runs in the sessions of the application.
 */
export function stableText(value: string, type: string): string {
  switch (type.replace(/\(.*\)/, '')) {
    case 'date':
    case 'timestamp without time zone':
      return `(pg_catalog.to_jsonb(${value}) #>> '{}')`;
    case 'timestamp with time zone':
      return `(pg_catalog.to_jsonb(${value} at time zone 'UTC') #>> '{}')`;
    case 'bytea':
      return `pg_catalog.encode(${value}, 'hex')`;
    default:
      return `${value}::text`;
  }
}

const numbers = new Set(['smallint', 'integer', 'bigint', 'uuid', 'date', 'boolean']);

/** The key of an organization in a row: one column as text, several joined by `:` so that no two keys have one text. Null where one is. */
export function organizationKey(alias: string, columns: readonly KeyColumn[]): string {
  const texts = columns.map(({ name, type }) => {
    const text = stableText(`${alias}.${ident(name)}`, type);
    return columns.length === 1 || numbers.has(type)
      ? text
      : `pg_catalog.replace(pg_catalog.replace(${text}, '%', '%25'), ':', '%3A')`;
  });
  return texts.length === 1 ? (texts[0] ?? 'null') : `(${texts.join(` || ':' || `)})`;
}

/** An array parameter of texts in a form that an index on the column serves; by text where the types have nothing in common. */
export function keyAmong(value: string, type: string, parameter: string): string {
  const plain = type.replace(/\(.*\)/, '');
  if (plain === 'smallint' || plain === 'integer' || plain === 'bigint')
    return `${value} = any (${parameter}::text[]::bigint[])`;
  if (plain === 'uuid') return `${value} = any (${parameter}::text[]::uuid[])`;
  if (plain === 'text' || plain === 'character varying') return `${value} = any (${parameter}::text[])`;
  return `${stableText(value, type)} = any (${parameter}::text[])`;
}

/** The organization of a key, as SQL. */
export const organizationOfKey = (key: string): string =>
  `(select h.id from tenantry.organizations h where h.key = ${key})`;
