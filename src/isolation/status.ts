import type { PoolLike } from '../database/kernel.ts';
import { type Row, renderSchema } from '../database/sql.ts';
import { withCatalogPath } from './catalog-path.ts';
import type { Mode } from './declaration.ts';
import { policyDigest } from './registry.ts';

/** One protected table: what was asked for, and what the catalogue shows. */
export interface TableStatus {
  readonly table: string;
  readonly mode: Mode;
  readonly since: Date;
  readonly column: string;
  /** `uuid`, or the type of the host's own key. */
  readonly keyType: string;
  readonly ownerColumn: string | null;
  readonly owner: string | null;
  readonly keepOwner: boolean;
  readonly forced: boolean;
  readonly partitions: number;
  /** Statements seen since shadow began. */
  readonly misses: { readonly confirmed: number; readonly unconfirmed: number; readonly examined: number };
  /** Where the catalogue is not as the mode says; empty when all is well. */
  readonly drift: readonly string[];
}

interface StatusRow extends Row {
  table: string;
  mode: Mode;
  since: Date;
  column: string;
  key_type: string;
  owner_column: string | null;
  owner: string | null;
  keep_owner: boolean;
  forced: boolean | null;
  row_security: boolean | null;
  own_row_security: boolean;
  partitions: number;
  open_partitions: string[];
  confirmed: number;
  unconfirmed: number;
  examined: number;
  same_policies: boolean;
}

const statusQuery = `
with recursive known as (
  select m.*, pg_catalog.to_regclass(pg_catalog.format('%I.%I', m.table_schema, m.table_name)) as oid from tenantry.table_modes m
), leaves as (
  select k.oid as root, i.inhrelid as oid from known k join pg_catalog.pg_inherits i on i.inhparent = k.oid
  union all
  select l.root, i.inhrelid from leaves l join pg_catalog.pg_inherits i on i.inhparent = l.oid
)
select k.table_schema || '.' || k.table_name as "table", k.mode, k.mode_since as since, k.tenant_column as "column",
  coalesce(k.key_type, 'uuid') as key_type, k.owner_column, pg_catalog.pg_get_userbyid(c.relowner)::text as owner, k.keep_owner,
  c.relforcerowsecurity as forced, c.relrowsecurity as row_security,
  coalesce((k.previous_state ->> 'rowSecurity')::boolean, false) as own_row_security,
  (select count(*)::int from leaves l where l.root = k.oid) as partitions,
  array(select l.oid::regclass::text from leaves l join pg_catalog.pg_class lc on lc.oid = l.oid
    where l.root = k.oid and not lc.relrowsecurity order by 1) as open_partitions,
  misses.confirmed, misses.unconfirmed, misses.examined,
  k.policy_digest is null or k.policy_digest = ${policyDigest('k.oid')} as same_policies
from known k
left join pg_catalog.pg_class c on c.oid = k.oid
cross join lateral (
  select count(*) filter (where s.status = 'confirmed')::int as confirmed,
    count(*) filter (where s.status = 'unconfirmed')::int as unconfirmed,
    count(*) filter (where s.status = 'examined')::int as examined
  from tenantry.shadow_misses s
  where s.table_schema = k.table_schema and s.table_name = k.table_name and s.last_seen >= coalesce(k.shadow_since, '-infinity')
) misses
order by k.table_schema, k.table_name`;

/** Every protected table, with what differs between its mode and the catalogue. */
export async function readStatus(admin: PoolLike, schema: string): Promise<TableStatus[]> {
  const { rows } = await withCatalogPath(admin, (tx) => tx.query<StatusRow>(renderSchema(statusQuery, schema)));
  return rows.map((row) => ({
    table: row.table,
    mode: row.mode,
    since: row.since,
    column: row.column,
    keyType: row.key_type,
    ownerColumn: row.owner_column,
    owner: row.owner,
    keepOwner: row.keep_owner,
    forced: row.forced === true,
    partitions: row.partitions,
    misses: { confirmed: row.confirmed, unconfirmed: row.unconfirmed, examined: row.examined },
    drift: driftOf(row),
  }));
}

function driftOf(row: StatusRow): string[] {
  if (row.row_security === null) return ['the table is gone or was renamed'];
  const on = row.mode !== 'off';
  const found: string[] = [];
  if (on && !row.row_security) found.push('row-level security is disabled');
  if (!on && row.row_security && !row.own_row_security) found.push('row-level security is enabled');
  if (on && row.owner !== 'tenantry_owner' && !row.forced) {
    found.push(`owned by ${row.owner}, whom no policy binds`);
  }
  if (on && row.open_partitions.length > 0)
    found.push(`partitions without policies: ${row.open_partitions.join(', ')}`);
  if (!row.same_policies) found.push('policies were changed by hand');
  return found;
}
