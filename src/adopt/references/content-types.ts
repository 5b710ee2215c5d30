import { ident, type Row } from '../../database/sql.ts';
import type { Inspection, TableFacts, TableName } from '../inspection.ts';

/** Django's table of content types: a number for each model, by which its polymorphic pairs name the table. */
export interface ContentTypePair {
  readonly table: TableName;
  /** `content_type_id`, or with a role before it: `target_content_type_id`. */
  readonly discriminator: string;
  readonly column: string;
  readonly types: TableName;
}

const named = 'content_type_id';

/** `content_type_id` beside `object_id`, as Django names a generic foreign key. */
export function findContentTypePairs(inspection: Inspection): ContentTypePair[] {
  const types = inspection.tables.filter(isTypesTable);
  if (types.length === 0) return [];
  return inspection.tables.flatMap((table) => {
    const own = types.find((one) => one.schema === table.schema) ?? (types.length === 1 ? types[0] : undefined);
    if (own === undefined || own === table) return [];
    const names = new Set(table.columns.map((column) => column.name));
    return table.columns.flatMap(({ name }): ContentTypePair[] => {
      if (!name.endsWith(named)) return [];
      const role = name.slice(0, -named.length);
      const column = [`${role}object_id`, `${role}object_pk`, `${role}id`].find(
        (wanted) => names.has(wanted) && !table.primaryKey.includes(wanted),
      );
      const known = inspection.foreignKeys.some(
        (key) => key.table === table.name && key.columns.includes(column ?? ''),
      );
      return column === undefined || known ? [] : [{ table: table.name, discriminator: name, column, types: own.name }];
    });
  });
}

function isTypesTable({ table, columns, primaryKey }: TableFacts): boolean {
  return (
    table === 'django_content_type' &&
    primaryKey.join() === 'id' &&
    ['app_label', 'model'].every((name) => columns.some((column) => column.name === name))
  );
}

/** What a content type stands for: its number, `shop.order`, and the tables that could be meant, the likeliest first. */
export interface ContentType {
  readonly value: string;
  readonly model: string;
  readonly tables: readonly TableFacts[];
}

/** The content types that a pair holds; undefined where they could not be read. */
export async function readContentTypes(
  ask: <R extends Row>(text: string) => Promise<R[] | null>,
  inspection: Inspection,
  { table, discriminator, types }: ContentTypePair,
  rows: string,
  limit: number,
): Promise<ContentType[] | undefined> {
  const found = await ask<Row & { value: string; app: string; model: string }>(
    `select y.id::text as value, y.app_label::text as app, y.model::text as model from ${types} y
     where exists (select from ${rows} where t.${ident(discriminator)} = y.id) order by y.id limit ${limit}`,
  );
  const schema = inspection.tables.find((one) => one.name === table)?.schema;
  return found?.map(({ value, app, model }) => {
    const usual = `${app}_${model}`;
    const rank = (one: TableFacts): number => (one.table === usual ? 2 : 0) + (one.schema === schema ? 1 : 0);
    return {
      value,
      model: `${app}.${model}`,
      tables: inspection.tables
        .filter((one) => one.table === usual || squeeze(one.table) === squeeze(model))
        .toSorted((a, b) => rank(b) - rank(a)),
    };
  });
}

/** A model's name has no underscores, a table of its own may have: lineitem, line_items. */
const squeeze = (name: string): string => name.toLowerCase().replaceAll('_', '').replace(/s$/, '');
