import { camelCase, defaultFunction, tableKey, type TenantColumn } from './tenant-columns.ts';

/** The line to add to the model of each table. */
export function prismaTypes(columns: readonly TenantColumn[], schema: string): string {
  const parts = columns.map((column) => `// ${comment(tableKey(column))}\n  ${fieldOf(column, schema)}\n`);
  return `// Made by: tenantry adopt types --format prisma
// Add the line to the model of each table; with --schema FILE it is done for you. The database fills the field.

${parts.join('\n')}`;
}

/**
 * A Prisma schema with the tenant field in the model of each adopted table. Models are found by name, `@@map` and `@@schema`; one
 * that has the column already stays as it is.
 *
 * @returns the schema, and the tables that no model stands for
 */
export function addToPrismaSchema(
  text: string,
  columns: readonly TenantColumn[],
  schema: string,
): { readonly schema: string; readonly missing: readonly TenantColumn[] } {
  const found = new Set<TenantColumn>();
  const result = text.replace(/^model\s+(\w+)\s*\{[^]*?^\}/gm, (model, name: string) => {
    const table = /^\s*@@map\(\s*(?:name:\s*)?"((?:[^"\\]|\\.)*)"/m.exec(model)?.[1] ?? name;
    const place = /^\s*@@schema\(\s*"((?:[^"\\]|\\.)*)"/m.exec(model)?.[1] ?? 'public';
    const column = columns.find((one) => one.table === unescape(table) && one.schema === unescape(place));
    if (column === undefined) return model;
    found.add(column);
    const mapped = new RegExp(`@map\\(\\s*(?:name:\\s*)?"${escapeRegExp(column.column)}"`);
    if (mapped.test(model) || new RegExp(`^\\s*${escapeRegExp(column.column)}\\s`, 'm').test(model)) return model;
    const lines = model.split('\n');
    const attributes = lines.findIndex((line) => /^\s*@@/.test(line));
    let at = attributes === -1 ? lines.length - 1 : attributes;
    while (lines[at - 1]?.trim() === '') at -= 1;
    return [...lines.slice(0, at), `  ${fieldOf(column, schema)}`, ...lines.slice(at)].join('\n');
  });
  return { schema: result, missing: columns.filter((column) => !found.has(column)) };
}

function fieldOf({ column, nullable, filledBy }: TenantColumn, schema: string): string {
  const name = camelCase(column);
  const map = name === column ? '' : ` @map(${quote(column)})`;
  const call = filledBy === 'default' ? quote(defaultFunction(schema)) : '';
  return nullable ? `${name} String?${map} @db.Uuid` : `${name} String @default(dbgenerated(${call}))${map} @db.Uuid`;
}

const quote = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
const unescape = (text: string): string => text.replace(/\\(.)/g, '$1');
const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const comment = (text: string): string => text.replace(/[\r\n\u2028\u2029]+/g, ' ');
