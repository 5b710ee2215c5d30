import type { Queryable, Row } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { TableName } from './declaration.ts';

/** What the catalogue says about a table, as far as isolation needs it. */
export interface TableFacts extends TableName {
  readonly oid: number;
  readonly kind: 'table' | 'partitioned';
  readonly owner: string;
  readonly ownerIsSuperuser: boolean;
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly columns: readonly ColumnFacts[];
  readonly primaryKey: ConstraintFacts | undefined;
  readonly uniques: readonly ConstraintFacts[];
  /** Foreign keys of other tables point at this one. */
  readonly referenced: boolean;
  /** First columns of the usable, complete indexes. */
  readonly indexLeaders: readonly string[];
  readonly foreignKeys: readonly { readonly columns: readonly string[]; readonly references: string }[];
  /** Partitions and inheritance children at every depth, parents first. */
  readonly leaves: readonly LeafFacts[];
  /** Sequences that columns of the table own. */
  readonly sequences: readonly SequenceFacts[];
  readonly policies: readonly PolicyFacts[];
  readonly grants: readonly GrantFacts[];
  /** What tenantry_owner may do in the schema of the table, and whether tenantry_app may use it. */
  readonly schemaRights: { readonly usage: boolean; readonly create: boolean; readonly runtimeUsage: boolean };
}

export interface SequenceFacts extends TableName {
  readonly grants: readonly GrantFacts[];
}

export interface LeafFacts extends TableName {
  readonly owner: string;
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly grants: readonly GrantFacts[];
}

export interface ColumnFacts {
  readonly name: string;
  /** The base type without its length, as SQL writes it. */
  readonly type: string;
  readonly notNull: boolean;
  readonly default: string | null;
}

export interface ConstraintFacts {
  readonly name: string;
  readonly columns: readonly string[];
}

export interface PolicyFacts {
  readonly name: string;
  readonly permissive: boolean;
  readonly command: 'all' | 'select' | 'insert' | 'update' | 'delete';
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly check: string | null;
}

export interface GrantFacts {
  /** A role, or `public`. */
  readonly grantee: string;
  readonly privilege: string;
  readonly grantable: boolean;
}

/** `orders` is looked up as the connection would, `shop.orders` as named. Quotes are not needed. */
export function parseTableName(name: string, defaultSchema = 'public'): TableName {
  const parts = name.split('.');
  const [first = '', second] = parts;
  if (parts.length > 2 || first === '' || second === '') {
    throw new TenantryError('TNT_TABLE_UNKNOWN', `"${name}" is not the name of a table.`);
  }
  return second === undefined ? { schema: defaultSchema, table: first } : { schema: first, table: second };
}

/** Reads the facts of one table from the catalogue. @throws TNT_TABLE_UNKNOWN */
export async function readTableFacts(database: Queryable, name: TableName): Promise<TableFacts> {
  const { rows } = await database.query<Row & { facts: TableFacts & { primaryKey: ConstraintFacts | null } }>(
    factsQuery,
    [name.schema, name.table],
  );
  const facts = rows[0]?.facts;
  if (facts === undefined) {
    throw new TenantryError('TNT_TABLE_UNKNOWN', `There is no table ${name.schema}.${name.table} in this database.`);
  }
  return { ...facts, primaryKey: facts.primaryKey ?? undefined };
}

const grantsOf = (relation: string, kind: 'r' | 's' = 'r'): string =>
  `coalesce((select jsonb_agg(jsonb_build_object(
       'grantee', case a.grantee when 0 then 'public' else pg_catalog.pg_get_userbyid(a.grantee) end,
       'privilege', lower(a.privilege_type), 'grantable', a.is_grantable) order by a.grantee, a.privilege_type)
     from pg_catalog.aclexplode(coalesce(${relation}.relacl, pg_catalog.acldefault('${kind}', ${relation}.relowner))) a), '[]')`;

const columnNames = (numbers: string, relation: string): string =>
  `(select jsonb_agg(a.attname order by k.n) from unnest(${numbers}) with ordinality k(attnum, n)
     join pg_catalog.pg_attribute a on a.attrelid = ${relation} and a.attnum = k.attnum)`;

const factsQuery = `
with recursive target as (
  select c.*, n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')
), leaves as (
  select i.inhrelid as oid, 1 as depth from pg_catalog.pg_inherits i join target t on i.inhparent = t.oid
  union all
  select i.inhrelid, l.depth + 1 from pg_catalog.pg_inherits i join leaves l on i.inhparent = l.oid
)
select jsonb_build_object(
  'oid', t.oid::int8, 'schema', t.nspname, 'table', t.relname,
  'kind', case t.relkind when 'p' then 'partitioned' else 'table' end,
  'owner', pg_catalog.pg_get_userbyid(t.relowner),
  'ownerIsSuperuser', coalesce((select r.rolsuper from pg_catalog.pg_roles r where r.oid = t.relowner), false),
  'rowSecurity', t.relrowsecurity, 'forced', t.relforcerowsecurity,
  'columns', coalesce((select jsonb_agg(jsonb_build_object('name', a.attname,
      'type', pg_catalog.format_type(case when ty.typtype = 'd' then ty.typbasetype else ty.oid end, -1),
      'notNull', a.attnotnull, 'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid)) order by a.attnum)
    from pg_catalog.pg_attribute a join pg_catalog.pg_type ty on ty.oid = a.atttypid
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped), '[]'),
  'primaryKey', (select jsonb_build_object('name', k.conname, 'columns', ${columnNames('k.conkey', 't.oid')})
    from pg_catalog.pg_constraint k where k.conrelid = t.oid and k.contype = 'p'),
  'uniques', coalesce((select jsonb_agg(jsonb_build_object('name', k.conname, 'columns', ${columnNames('k.conkey', 't.oid')}))
    from pg_catalog.pg_constraint k where k.conrelid = t.oid and k.contype = 'u'), '[]'),
  'referenced', exists (select from pg_catalog.pg_constraint k where k.confrelid = t.oid and k.contype = 'f' and k.conparentid = 0),
  'indexLeaders', coalesce((select jsonb_agg(distinct a.attname)
    from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
    where i.indrelid = t.oid and i.indisvalid and i.indpred is null), '[]'),
  'foreignKeys', coalesce((select jsonb_agg(jsonb_build_object('columns', ${columnNames('k.conkey', 't.oid')},
      'references', pg_catalog.format('%s.%s', fn.nspname, fc.relname)))
    from pg_catalog.pg_constraint k join pg_catalog.pg_class fc on fc.oid = k.confrelid
    join pg_catalog.pg_namespace fn on fn.oid = fc.relnamespace
    where k.conrelid = t.oid and k.contype = 'f' and k.conparentid = 0), '[]'),
  'leaves', coalesce((select jsonb_agg(jsonb_build_object('schema', ln.nspname, 'table', lc.relname,
      'owner', pg_catalog.pg_get_userbyid(lc.relowner), 'rowSecurity', lc.relrowsecurity, 'forced', lc.relforcerowsecurity,
      'grants', ${grantsOf('lc')}) order by l.depth, ln.nspname, lc.relname)
    from leaves l join pg_catalog.pg_class lc on lc.oid = l.oid and lc.relkind in ('r', 'p')
    join pg_catalog.pg_namespace ln on ln.oid = lc.relnamespace), '[]'),
  'sequences', coalesce((select jsonb_agg(jsonb_build_object('schema', sn.nspname, 'table', sc.relname, 'grants', ${grantsOf('sc', 's')}) order by sc.relname)
    from pg_catalog.pg_depend dp join pg_catalog.pg_class sc on sc.oid = dp.objid and sc.relkind = 'S'
    join pg_catalog.pg_namespace sn on sn.oid = sc.relnamespace
    where dp.classid = 'pg_catalog.pg_class'::regclass and dp.refclassid = 'pg_catalog.pg_class'::regclass
      and dp.refobjid = t.oid and dp.deptype in ('a', 'i')), '[]'),
  'policies', coalesce((select jsonb_agg(jsonb_build_object('name', p.polname, 'permissive', p.polpermissive,
      'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
      'roles', (select jsonb_agg(case r when 0 then 'public' else pg_catalog.pg_get_userbyid(r) end) from unnest(p.polroles) r),
      'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polname)
    from pg_catalog.pg_policy p where p.polrelid = t.oid), '[]'),
  'grants', ${grantsOf('t')},
  'schemaRights', jsonb_build_object(
    'usage', pg_catalog.has_schema_privilege('tenantry_owner', t.relnamespace, 'usage'),
    'create', pg_catalog.has_schema_privilege('tenantry_owner', t.relnamespace, 'create'),
    'runtimeUsage', pg_catalog.has_schema_privilege('tenantry_app', t.relnamespace, 'usage'))
) as facts
from target t`;
