import { ident } from '../../database/sql.ts';
import { hasTenant } from '../classify.ts';
import type { Inspection } from '../inspection.ts';
import type { Plan } from '../plan-types.ts';

/** The tenant column of one adopted table, as type generators see it. */
export interface TenantColumn {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  /** Rows may have none: keys that may be null, deferred keys, quarantine. */
  readonly nullable: boolean;
  /** What fills it when a statement does not: the column's default, or a trigger. */
  readonly filledBy: 'default' | 'trigger';
}

/** The tenant columns of a plan: as they are in the database where the run has come so far, else as the plan will make them. */
export function tenantColumnsOf(plan: Plan, inspection: Inspection): TenantColumn[] {
  const facts = new Map(inspection.tables.map((table) => [table.name, table]));
  return plan.tables
    .filter((table) => hasTenant(table.class))
    .map((table) => {
      const live = facts.get(table.table)?.columns.find((column) => column.name === plan.column);
      const planned = plan.constant === null && table.required !== 'at once';
      // until tighten every column is nullable: what counts is what becomes of it
      return {
        schema: table.schema,
        table: table.name,
        column: plan.column,
        nullable: live?.notNull === true ? false : planned,
        filledBy: plan.constant === null ? 'trigger' : 'default',
      };
    });
}

/** `tenant_id` → `tenantId`; what is no identifier then stays a plain one. */
export function camelCase(column: string): string {
  const name = column.replace(/_+([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());
  return /^[A-Za-z][A-Za-z0-9]*$/.test(name) ? name : 'tenantId';
}

/** A table's name as an ORM writes it: without the schema that needs no mention. */
export function tableKey({ schema, table }: TenantColumn): string {
  return schema === 'public' ? table : `${schema}.${table}`;
}

/** What fills the column of a constant tenant. */
export function defaultFunction(schema: string): string {
  return `${/^[a-z_][a-z0-9_]*$/.test(schema) ? schema : ident(schema)}.adopt_default_tenant()`;
}

/** A property's name in TypeScript, quoted where it must be. */
export function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${escapeQuoted(name)}'`;
}

/** For a string in single quotes. */
export function quoted(text: string): string {
  return `'${escapeQuoted(text)}'`;
}

function escapeQuoted(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll("'", "\\'")
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
}
