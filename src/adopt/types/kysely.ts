import { property, type TenantColumn, tableKey } from './tenant-columns.ts';

/** An interface of the tenant columns by table, and a type that puts them into an application's own `Database`. */
export function kyselyTypes(columns: readonly TenantColumn[]): string {
  const used = new Set(columns.map((column) => column.nullable));
  return `// Made by: tenantry adopt types --format kysely
import type { ColumnType } from 'kysely';

${used.has(false) ? '/** The database fills it: inserts need not name it, and then it is right by itself. */\ntype Tenant = ColumnType<string, string | undefined, string | undefined>;\n' : ''}${
  used.has(true)
    ? '/** Some rows have none: only operators see those. */\ntype TenantOrNull = ColumnType<string | null, string | null | undefined, string | null | undefined>;\n'
    : ''
}
/** The tenant column of every adopted table, by the name under which Kysely knows the table. */
export interface TenantColumns {
${columns.map((column) => `  ${property(tableKey(column))}: { ${property(column.column)}: ${column.nullable ? 'TenantOrNull' : 'Tenant'} };\n`).join('')}}

/** An application's database with the tenant columns: \`new Kysely<WithTenants<Database>>({ … })\`. */
export type WithTenants<Database> = {
  [Table in keyof Database]: Table extends keyof TenantColumns
    ? Omit<Database[Table], keyof TenantColumns[Table]> & TenantColumns[Table]
    : Database[Table];
};
`;
}
