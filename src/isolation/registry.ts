import { type Queryable, type Row, renderSchema } from '../database/sql.ts';
import type { Mode, TableDeclaration, TableName } from './declaration.ts';
import type { PolicyFacts } from './facts.ts';
import type { PreviousState } from './ownership.ts';
import type { KnownTable } from './plan-mode.ts';

/** A row of `table_modes`. */
export interface RegisteredTable extends KnownTable {
  readonly mode: Mode;
  readonly modeSince: Date;
  readonly shadowSince: Date | undefined;
  readonly enforcedSince: Date | undefined;
}

interface ModeRow extends Row {
  table_schema: string;
  table_name: string;
  tenant_column: string;
  key_type: string | null;
  owner_column: string | null;
  read_all_permission: string | null;
  mode: Mode;
  mode_since: Date;
  shadow_since: Date | null;
  keep_owner: boolean;
  previous_state: PreviousState | null;
  saved_policies: PolicyFacts[] | null;
  others: boolean;
  enforced_since: Date | null;
}

/** The row of a table, if it has one. */
export async function readRegistered(
  database: Queryable,
  schema: string,
  name: TableName,
): Promise<RegisteredTable | undefined> {
  const { rows } = await database.query<ModeRow>(
    renderSchema(
      `select table_schema, table_name, tenant_column, key_type, owner_column, read_all_permission, mode, mode_since, shadow_since,
         enforced_since, keep_owner, previous_state, saved_policies,
         exists (select from tenantry.table_modes o where o.table_schema = m.table_schema and o.table_name <> m.table_name
           and o.previous_state is not null) as others
       from tenantry.table_modes m
       where table_schema = $1::text and table_name = $2::text`,
      schema,
    ),
    [name.schema, name.table],
  );
  const found = rows.map((row) => ({
    declaration: declarationOf(row),
    mode: row.mode,
    modeSince: row.mode_since,
    shadowSince: row.shadow_since ?? undefined,
    keepOwner: row.keep_owner,
    othersInSchema: row.others,
    enforcedSince: row.enforced_since ?? undefined,
    ...(row.previous_state === null ? {} : { previous: row.previous_state }),
    ...(row.saved_policies === null ? {} : { savedPolicies: row.saved_policies }),
  }));
  return found[0];
}

function declarationOf(row: ModeRow): TableDeclaration {
  const { owner_column: column, read_all_permission: readAll } = row;
  return {
    schema: row.table_schema,
    table: row.table_name,
    column: row.tenant_column,
    key: row.key_type === null ? { kind: 'uuid' } : { kind: 'key', type: row.key_type },
    ...(column === null ? {} : { owner: readAll === null ? { column } : { column, readAll } }),
  };
}

/** Policies of a table as the catalogue shows them, in one hash; taken after each switch and compared by status. */
export const policyDigest = (table: string): string =>
  `(select pg_catalog.md5(coalesce(string_agg(pg_catalog.format('%s|%s|%s|%s|%s|%s', p.polname, p.polpermissive, p.polcmd, p.polroles,
     pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), E'\\n' order by p.polname), ''))
   from pg_catalog.pg_policy p where p.polrelid = ${table})`;

/** Run last in the transaction of a switch. */
export async function recordPolicyDigest(tx: Queryable, schema: string, name: TableName): Promise<void> {
  await tx.query(
    renderSchema(
      `update tenantry.table_modes m set policy_digest = ${policyDigest("pg_catalog.to_regclass(pg_catalog.format('%I.%I', m.table_schema, m.table_name))")}
       where m.table_schema = $1::text and m.table_name = $2::text`,
      schema,
    ),
    [name.schema, name.table],
  );
}
