import { createHash } from 'node:crypto';
import { ident, qualifiedName } from '../../database/sql.ts';
import type { TableName } from '../inspection.ts';

/** Names of what a plan adds to the host's tables. Each fits PostgreSQL's 63 bytes and is the same in every run. */
export const triggerNames = {
  // last among the BEFORE triggers, which fire by name: a host trigger may still set the key
  insert: 'zz_tenantry_fill_insert',
  update: 'zz_tenantry_fill_update',
  cascade: 'zz_tenantry_cascade',
  settle: 'zz_tenantry_settle',
  /** Refuses rows without a tenant that no decision accounts for. Behind `settle`, which may still find one. */
  guard: 'zz_tenantry_unassigned',
  /** Gives a row to the tenant that uses it. */
  useInsert: 'zz_tenantry_use_insert',
  useUpdate: 'zz_tenantry_use_update',
  // between filling and judging: a reference to a row that is copied per tenant leads to the copy
  pointInsert: 'zz_tenantry_point_insert',
  pointUpdate: 'zz_tenantry_point_update',
  // after the fill triggers: they judge the row as it will be written
  refsInsert: 'zz_tenantry_refs_insert',
  refsUpdate: 'zz_tenantry_refs_update',
} as const;

/** On the old tables of users and memberships, after everything else. */
export const membershipTriggers = {
  insert: 'zz_tenantry_members_insert',
  update: 'zz_tenantry_members_update',
  remove: 'zz_tenantry_members_delete',
  truncate: 'zz_tenantry_members_truncate',
} as const;

export type FunctionRole = 'fill' | 'cascade' | 'settle' | 'refs' | 'members' | 'guard' | 'use' | 'point' | 'copy';

/** The trigger function of a table, in Tenantry's schema. */
export function functionName(role: FunctionRole, table: TableName): string {
  return `tenantry.${ident(`adopt_${role}_${shorten(table.replaceAll(/[^a-zA-Z0-9]+/g, '_').toLowerCase(), 30)}_${hash(table)}`)}`;
}

/** The function that answers with the organization that takes orphans. */
export function orphansFunction(slug: string): string {
  return `tenantry.${ident(`adopt_orphans_${shorten(slug.replaceAll('-', '_'), 30)}_${hash(slug)}`)}`;
}

/** `orders_tenant_id_idx`, shortened with a hash where it would be too long. */
export function objectName(table: string, column: string, suffix: string): string {
  const name = `${table}_${column}_${suffix}`;
  return Buffer.byteLength(name) <= 63 ? name : `${shorten(name, 45)}_${hash(name)}_${suffix}`;
}

export function indexName(schema: string, table: string, column: string): string {
  return qualifiedName(schema, objectName(table, column, 'idx'));
}

function shorten(text: string, bytes: number): string {
  let short = text;
  while (Buffer.byteLength(short) > bytes) short = short.slice(0, -1);
  return short;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
