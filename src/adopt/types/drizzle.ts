import { camelCase, defaultFunction, property, quoted, type TenantColumn, tableKey } from './tenant-columns.ts';

/** Column builders by table, to be spread into an application's own tables. */
export function drizzleTypes(columns: readonly TenantColumn[], schema: string): string {
  const column = columns[0]?.column ?? 'tenant_id';
  const required = columns.some((one) => !one.nullable);
  const byDefault = columns.some((one) => one.filledBy === 'default');
  const builder = `uuid(${quoted(column)})`;
  const filled = byDefault
    ? `.default(sql\`${defaultFunction(schema).replace(/[\\`$]/g, '\\$&')}\`)`
    : '.$defaultFn(() => sql`default`)';
  const imports = required ? "import { sql } from 'drizzle-orm';\n" : '';
  return `// Made by: tenantry adopt types --format drizzle
${imports}import { uuid } from 'drizzle-orm/pg-core';

// Index, foreign key, triggers and policies of the column are Tenantry's and are not named here: do not \`push\` to this database.
${required ? `/** The database fills it: inserts need not name it, and then it is right by itself. */\nconst tenant = () => ${builder}.notNull()${filled};\n` : ''}${
  columns.some((one) => one.nullable)
    ? `/** Some rows have none: only operators see those. */\nconst tenantOrNull = () => ${builder};\n`
    : ''
}
/** The tenant column of every adopted table: \`pgTable('orders', { …, ...tenantColumns.orders })\`. */
export const tenantColumns = {
${columns.map((one) => `  ${property(tableKey(one))}: { ${camelCase(one.column)}: ${one.nullable ? 'tenantOrNull' : 'tenant'}() },\n`).join('')}};
`;
}
