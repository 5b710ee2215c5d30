import type { Queryable, Row } from '../database/sql.ts';
import type { TableName } from './inspection.ts';

/** A table, whose it is, and who asks. */
export interface OwnedRow extends Row {
  table: TableName;
  owner: string;
  login: string;
}

export interface PrivilegeRow extends OwnedRow {
  mayAlter: boolean;
  schemaOwner: string;
  mayGrantSchema: boolean;
}

/** Whether this login may alter each table and grant the use of its schema. */
export async function selectPrivileges(db: Queryable, tables: readonly TableName[]): Promise<PrivilegeRow[]> {
  const { rows } = await db.query<PrivilegeRow>(
    `select t.name as "table", pg_get_userbyid(c.relowner)::text as owner, current_user::text as login,
            pg_has_role(c.relowner, 'usage') as "mayAlter", pg_get_userbyid(n.nspowner)::text as "schemaOwner",
            pg_has_role(n.nspowner, 'usage') or has_schema_privilege(n.oid, 'usage with grant option')
              and has_schema_privilege(n.oid, 'create with grant option') as "mayGrantSchema"
     from unnest($1::text[]) with ordinality t(name, o) join pg_class c on c.oid = t.name::regclass
     join pg_namespace n on n.oid = c.relnamespace order by t.o`,
    [tables],
  );
  return rows;
}

/** Tables that this login cannot read. */
export async function selectUnreadable(db: Queryable, tables: readonly TableName[]): Promise<OwnedRow[]> {
  const { rows } = await db.query<OwnedRow>(
    `select t.name as "table", pg_get_userbyid(c.relowner)::text as owner, current_user::text as login
     from unnest($1::text[]) with ordinality t(name, o) join pg_class c on c.oid = t.name::regclass
     where not has_table_privilege(c.oid, 'select') order by t.o`,
    [tables],
  );
  return rows;
}

/** Statement texts of this database, or null where they cannot be read. */
export async function selectStatements(db: Queryable): Promise<string[] | null> {
  const { rows: found } = await db.query<Row & { schema: string }>(
    `select n.nspname::text as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'`,
  );
  const schema = found[0]?.schema;
  if (schema === undefined) return null;
  try {
    await db.query('savepoint statements');
    const { rows } = await db.query<Row & { query: string }>(
      `select s.query from "${schema.replaceAll('"', '""')}".pg_stat_statements s
       where s.dbid = (select d.oid from pg_database d where d.datname = current_database()) and s.query <> '<insufficient privilege>'`,
    );
    await db.query('release savepoint statements');
    return rows.map((row) => row.query);
  } catch {
    // installed and not loaded by the server
    await db.query('rollback to savepoint statements');
    return null;
  }
}

/** Sessions, slots and prepared transactions that keep the server from pruning, with their age. */
export async function selectHorizon(
  db: Queryable,
  olderThanSeconds = 30,
): Promise<{ holder: string; seconds: number }[]> {
  const { rows } = await db.query<Row & { holder: string; seconds: number }>(
    `select format('session %s (%s)', a.pid, coalesce(a.usename, 'unknown')) as holder, extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds
     from pg_stat_activity a
     where a.backend_xmin is not null and a.pid <> pg_backend_pid() and a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - make_interval(secs => $1::float8)
     union all
     select format('prepared transaction %s', p.gid), extract(epoch from clock_timestamp() - p.prepared)::float8 from pg_prepared_xacts p
     where p.prepared < clock_timestamp() - make_interval(secs => $1::float8)
     union all
     select format('replication slot %s', s.slot_name), null::float8 from pg_replication_slots s where s.xmin is not null and age(s.xmin) > 100000`,
    [olderThanSeconds],
  );
  return rows;
}

/** Indexes whose operators are not leakproof: a policy keeps the planner from using them. */
export async function selectLeakyIndexes(
  db: Queryable,
  tables: readonly TableName[],
): Promise<{ table: TableName; index: string; operators: string }[]> {
  const { rows } = await db.query<Row & { table: TableName; index: string; operators: string }>(
    `select t.name as "table", i.relname::text as index,
            string_agg(distinct format('%s', am.amopopr::regoperator), ', ') as operators
     from unnest($1::text[]) t(name) join pg_index x on x.indrelid = t.name::regclass join pg_class i on i.oid = x.indexrelid
     cross join lateral unnest(x.indclass::oid[]) with ordinality k(opclass, o)
     join pg_opclass oc on oc.oid = k.opclass
     join pg_amop am on am.amopfamily = oc.opcfamily and am.amoplefttype = oc.opcintype and am.amoprighttype = oc.opcintype and am.amoppurpose = 's'
     join pg_operator op on op.oid = am.amopopr join pg_proc p on p.oid = op.oprcode
     where not x.indisprimary and k.o = 1 and not p.proleakproof
     group by 1, 2
     having bool_or(am.amopstrategy = 3 or oc.opcmethod <> (select a.oid from pg_am a where a.amname = 'btree'))
     order by 1, 2`,
    [tables],
  );
  return rows;
}
