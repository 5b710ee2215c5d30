import { ident, qualifiedName, type Queryable, type Row } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { Operation } from './declaration.ts';
import type { ExplainRequest } from './explanation.ts';
import type { TableFacts } from './facts.ts';
import type { RegisteredTable } from './registry.ts';

/** What decides for a login before any policy. */
export interface LoginFacts {
  readonly name: string;
  readonly bypasses: boolean;
  readonly bypassReason: string;
  readonly granted: boolean;
}

/** One row as the policies see it; the context is the asking one. */
export interface RowFacts {
  readonly tenant: string | null;
  readonly ownedBy: string | null;
  /** By policy name and kind: `tenantry_floor using`. */
  readonly passes: ReadonlyMap<string, boolean>;
}

/** The context of the question, and shadow policies answering as enforced ones. */
export async function setAskedContext(
  tx: Queryable,
  { tenantId, tenantKey, userId }: ExplainRequest['context'],
): Promise<void> {
  await tx.query(
    `select set_config('app.tenant_id', $1::text, true), set_config('app.tenant_key', $2::text, true),
       set_config('app.user_id', $3::text, true), set_config('app.shadow_enforce', 'on', true)`,
    [tenantId ?? '', tenantKey ?? '', userId ?? ''],
  );
}

/** @throws TNT_INPUT_INVALID for an unknown login */
export async function readLogin(
  tx: Queryable,
  facts: TableFacts,
  login: string,
  operation: Operation,
): Promise<LoginFacts> {
  const table = qualifiedName(facts.schema, facts.table);
  const { rows } = await tx.query<Row & { superuser: boolean; bypass: boolean; owns: boolean; granted: boolean }>(
    `select r.rolsuper as superuser, r.rolbypassrls as bypass, pg_has_role(r.oid, c.relowner, 'usage') as owns,
       has_schema_privilege(r.oid, c.relnamespace, 'usage') and
       case $2::text when 'delete' then has_table_privilege(r.oid, c.oid, 'delete')
         else has_table_privilege(r.oid, c.oid, $2::text) or has_any_column_privilege(r.oid, c.oid, $2::text) end as granted
     from pg_roles r, pg_class c where r.rolname = $1::name and c.oid = $3::text::regclass`,
    [login, operation, table],
  );
  const role = rows[0];
  if (role === undefined) throw new TenantryError('TNT_INPUT_INVALID', `There is no login "${login}".`);
  const reason = role.superuser
    ? 'is a superuser'
    : role.bypass
      ? 'has BYPASSRLS'
      : role.owns && !facts.forced
        ? `has the rights of the owner, ${facts.owner}`
        : '';
  return { name: login, bypasses: reason !== '', bypassReason: reason, granted: role.granted };
}

/** The row by its key, whosever it is. @throws TNT_INPUT_INVALID for an unknown column */
export async function readRow(
  tx: Queryable,
  facts: TableFacts,
  known: RegisteredTable | undefined,
  { key }: ExplainRequest,
  evaluate: boolean,
): Promise<RowFacts | undefined> {
  const names = Object.keys(key);
  const missing = names.find((name) => !facts.columns.some((column) => column.name === name));
  if (names.length === 0 || missing !== undefined) {
    throw new TenantryError(
      'TNT_INPUT_INVALID',
      missing === undefined ? 'Name the row by its key.' : `${facts.schema}.${facts.table} has no column "${missing}".`,
    );
  }
  const expressions = (evaluate ? facts.policies : []).flatMap((policy) => [
    ...(policy.using === null ? [] : [{ name: `${policy.name} using`, sql: policy.using }]),
    ...(policy.check === null ? [] : [{ name: `${policy.name} check`, sql: policy.check }]),
  ]);
  const declaration = known?.declaration;
  const owner = declaration?.owner?.column;
  const columns = [
    declaration === undefined ? 'null::text' : `${ident(declaration.column)}::text`,
    owner === undefined ? 'null::text' : `${ident(owner)}::text`,
    ...expressions.map(({ sql }) => `(${sql}) is true`),
  ].map((sql, at) => `${sql} as c${at}`);
  const where = names.map((name, at) => `${ident(name)}::text = $${at + 1}::text`).join(' and ');
  const { rows } = await tx.query(
    `select ${columns.join(', ')} from ${qualifiedName(facts.schema, facts.table)} where ${where} limit 1`,
    names.map((name) => String(key[name])),
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return {
    tenant: text(row['c0']),
    ownedBy: text(row['c1']),
    passes: new Map(expressions.map(({ name }, at) => [name, row[`c${at + 2}`] === true])),
  };
}
