import type { Queryable, Row } from '../database/sql.ts';
import type {
  ColumnFacts,
  ForeignKey,
  FunctionFacts,
  PublishedFacts,
  SchemaFacts,
  SequenceFacts,
  TableFacts,
  TableName,
  TriggerFacts,
  UniqueFacts,
  ViewFacts,
} from './inspection.ts';

/** The schemas of the host: not the system's, not ours. `$1` is Tenantry's schema. */
const hostSchemas = `n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and n.nspname <> $1::text`;
const notOfExtension = (catalog: string, oid: string): string =>
  `not exists (select from pg_depend x where x.classid = '${catalog}'::regclass and x.objid = ${oid} and x.deptype = 'e')`;
const nameOf = (relation: string, schema: string): string => `format('%I.%I', ${schema}.nspname, ${relation}.relname)`;
/** The root of a partition tree, or the table itself. */
const rootOf = (oid: string): string => `coalesce(pg_partition_root(${oid})::oid, ${oid})`;

/** What is below a domain, or below a domain over one. */
const baseType = (type: string): string =>
  `(with recursive b as (select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = ${type}
      union all select t.oid, t.typtype, t.typbasetype from b join pg_type t on t.oid = b.typbasetype where b.typtype = 'd')
    select b.oid from b where b.typtype <> 'd')`;

async function rowsOf<R extends Row>(db: Queryable, text: string, values: unknown[] = []): Promise<R[]> {
  return (await db.query<R>(text, values)).rows;
}

export async function selectServer(db: Queryable): Promise<{ database: string; login: string; version: number }> {
  const rows = await rowsOf<{ database: string; login: string; version: number }>(
    db,
    `select current_database()::text as database, current_user::text as login,
            current_setting('server_version_num')::int as version`,
  );
  return rows[0] ?? { database: '', login: '', version: 0 };
}

type TableRow = Omit<TableFacts, 'columns' | 'primaryKey' | 'uniques'> & Row;

/** Host tables and partitioned roots, without partitions and extensions' tables. */
export async function selectTables(db: Queryable, schema: string): Promise<TableRow[]> {
  return rowsOf<TableRow>(
    db,
    `select ${nameOf('c', 'n')} as name, n.nspname::text as schema, c.relname::text as "table",
            case c.relkind when 'p' then 'partitioned' else 'table' end as kind,
            array(select format('%I.%I', ln.nspname, l.relname)
                  from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid join pg_namespace ln on ln.oid = l.relnamespace
                  where t.isleaf and l.relkind = 'r' and c.relkind = 'p' order by 1) as partitions,
            array(select format('%I.%I', pn.nspname, p.relname)
                  from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
                  where i.inhrelid = c.oid order by 1) as inherits,
            pg_get_userbyid(c.relowner)::text as owner,
            -- what ANALYZE says of a partitioned table is the sum of its partitions: not once more
            (select case when bool_or(l.reltuples < 0) then -1 else coalesce(sum(l.reltuples), 0) end
             from pg_class l where l.oid in (select relid from pg_partition_tree(c.oid) where isleaf) or (c.relkind = 'r' and l.oid = c.oid))::float8 as rows,
            (select coalesce(sum(pg_total_relation_size(l.oid)), 0)
             from pg_class l where l.oid = c.oid or (c.relkind = 'p' and l.oid in (select relid from pg_partition_tree(c.oid) where isleaf)))::float8 as bytes,
            (select count(*) from pg_index x where x.indrelid = c.oid)::int as indexes,
            array(select distinct a.attname::text from pg_index x join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
                  where x.indrelid = c.oid and x.indisvalid order by 1) as "leadingColumns",
            case when c.relforcerowsecurity then 'forced' when c.relrowsecurity then 'on' else 'off' end as "rowSecurity",
            c.relpersistence = 'u' as unlogged
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
       and ${hostSchemas} and ${notOfExtension('pg_class', 'c.oid')}
     order by 1`,
    [schema],
  );
}

export async function selectColumns(db: Queryable, schema: string): Promise<({ table: TableName } & ColumnFacts)[]> {
  return rowsOf<{ table: TableName } & ColumnFacts & Row>(
    db,
    `select ${nameOf('c', 'n')} as "table", a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
            a.attnotnull or ty.typnotnull as "notNull", a.atthasdef or a.attidentity <> '' as "hasDefault", a.attgenerated <> '' as generated,
            format_type(${baseType('ty.oid')}, null) as "baseType",
            (select format('operator(%I.=)', opn.nspname) from pg_operator op join pg_namespace opn on opn.oid = op.oprnamespace
             where op.oprname = '=' and op.oprleft = ${baseType('ty.oid')} and op.oprright = op.oprleft and opn.nspname <> 'pg_catalog' limit 1) as equality,
            case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end as expression,
            array(select distinct s.attname::text from pg_depend x join pg_attribute s on s.attrelid = c.oid and s.attnum = x.refobjsubid
                  where a.attgenerated <> '' and x.refclassid = 'pg_class'::regclass and x.refobjid = c.oid and x.refobjsubid <> a.attnum
                    and ((x.classid = 'pg_class'::regclass and x.objid = c.oid and x.objsubid = a.attnum)
                      or (x.classid = 'pg_attrdef'::regclass and x.objid = d.oid)) and x.refobjsubid > 0 order by 1) as "generatedFrom"
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     join pg_type ty on ty.oid = a.atttypid
     left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't' and ${hostSchemas}
     order by 1, a.attnum`,
    [schema],
  );
}

type UniqueRow = { table: TableName; primary: boolean } & UniqueFacts & Row;

/** Primary keys and uniques, constraint or plain index. */
export async function selectUniques(db: Queryable, schema: string): Promise<UniqueRow[]> {
  return rowsOf<UniqueRow>(
    db,
    `select ${nameOf('c', 'n')} as "table", i.relname::text as name, x.indisprimary as "primary",
            exists (select from pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u')) as constraint,
            x.indpred is not null or x.indexprs is not null as partial, not x.indimmediate as deferrable,
            array(select a.attname::text from unnest(x.indkey::int2[]) with ordinality k(num, o)
                  join pg_attribute a on a.attrelid = c.oid and a.attnum = k.num
                  where k.o <= x.indnkeyatts order by k.o) as columns,
            case when left(d.text, length(d.head)) = d.head then json_build_object(
              'tail', substr(d.text, length(d.head) + 1),
              'keys', (select json_agg(pg_get_indexdef(x.indexrelid, k, true) order by k) from generate_series(1, x.indnkeyatts) k),
              'where', pg_get_expr(x.indpred, x.indrelid),
              'referencedBy', array(select distinct format('%I.%I', rn.nspname, r.relname) from pg_constraint f join pg_class r on r.oid = f.conrelid
                                    join pg_namespace rn on rn.oid = r.relnamespace where f.conindid = x.indexrelid and f.contype = 'f' order by 1),
              'pinned', case when x.indisreplident then 'it is the replica identity' when i.reltablespace <> 0 then 'it lies in a tablespace of its own' end,
              'clustered', x.indisclustered, 'comment', obj_description(i.oid, 'pg_class'),
              'constraintComment', (select obj_description(k.oid, 'pg_constraint') from pg_constraint k where k.conindid = x.indexrelid and k.contype = 'u')) end as definition
     from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
     join pg_namespace n on n.oid = c.relnamespace
     cross join lateral (select pg_get_indexdef(x.indexrelid) as text,
                                format('CREATE UNIQUE INDEX %I ON %I.%I USING btree (', i.relname, n.nspname, c.relname) as head) d
     where x.indisunique and x.indisvalid and not c.relispartition and c.relkind in ('r', 'p') and ${hostSchemas}
     order by 1, 2`,
    [schema],
  );
}

type ForeignKeyRow = Omit<ForeignKey, 'onPartitions' | 'operators'> & {
  operators: string[];
  declaredOn: TableName;
  onRoot: boolean;
  hasHeirs: boolean;
} & Row;

/** Every declared key, partitions' own ones under the name of their root. Clones that the root's key made are left out. */
export async function selectForeignKeys(db: Queryable, schema: string): Promise<ForeignKeyRow[]> {
  return rowsOf<ForeignKeyRow>(
    db,
    `select k.conname::text as name, ${nameOf('r', 'rn')} as "table", ${nameOf('c', 'n')} as "declaredOn",
            r.oid = c.oid as "onRoot", ${nameOf('p', 'pn')} as parent,
            array(select a.attname::text from unnest(k.conkey) with ordinality u(num, o)
                  join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.o) as columns,
            array(select a.attname::text from unnest(k.confkey) with ordinality u(num, o)
                  join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.o) as "parentColumns",
            exists (select from unnest(k.conkey) u(num) join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num
                      join pg_type ty on ty.oid = a.atttypid
                    where not a.attnotnull and not ty.typnotnull) as nullable,
            array(select case opn.nspname when 'pg_catalog' then op.oprname::text else format('operator(%I.%s)', opn.nspname, op.oprname) end
                  from unnest(k.conpfeqop) with ordinality u(num, o) join pg_operator op on op.oid = u.num
                  join pg_namespace opn on opn.oid = op.oprnamespace order by u.o) as operators,
            k.condeferrable as deferrable, k.convalidated as validated,
            p.relkind = 'r' and exists (select from pg_inherits i where i.inhparent = p.oid) as "hasHeirs",
            case k.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade' when 'n' then 'set null' else 'set default' end as "onDelete",
            case k.confupdtype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade' when 'n' then 'set null' else 'set default' end as "onUpdate"
     from pg_constraint k
     join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_class r on r.oid = ${rootOf('c.oid')} join pg_namespace rn on rn.oid = r.relnamespace
     join pg_class p on p.oid = ${rootOf('k.confrelid')} join pg_namespace pn on pn.oid = p.relnamespace
     where k.contype = 'f' and k.conparentid = 0 and ${hostSchemas}
     order by 2, k.conkey[1], 1, 3`,
    [schema],
  );
}

/** User triggers, without the clones on partitions. */
export async function selectTriggers(db: Queryable, schema: string): Promise<TriggerFacts[]> {
  return rowsOf<TriggerFacts & Row>(
    db,
    `select ${nameOf('c', 'n')} as "table", t.tgname::text as name, pg_get_triggerdef(t.oid) as definition,
            format('%I.%I', fn.nspname, f.proname) as function,
            case when t.tgtype & 2 <> 0 then 'before' when t.tgtype & 64 <> 0 then 'instead' else 'after' end as timing,
            array_remove(array[case when t.tgtype & 4 <> 0 then 'insert' end, case when t.tgtype & 16 <> 0 then 'update' end,
                               case when t.tgtype & 8 <> 0 then 'delete' end, case when t.tgtype & 32 <> 0 then 'truncate' end], null) as events,
            array(select a.attname::text from unnest(t.tgattr::int2[]) u(num)
                  join pg_attribute a on a.attrelid = t.tgrelid and a.attnum = u.num) as columns,
            t.tgenabled::text as enabled, t.tgconstraint <> 0 as constraint, t.tgqual is not null as "hasCondition",
            f.prosrc ~* '\\y(insert\\s+into|update|delete\\s+from)\\y' as writes
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_proc f on f.oid = t.tgfoid join pg_namespace fn on fn.oid = f.pronamespace
     where not t.tgisinternal and t.tgparentid = 0 and fn.nspname <> $1::text and ${hostSchemas}
     order by 1, 2`,
    [schema],
  );
}

export async function selectViews(db: Queryable, schema: string): Promise<ViewFacts[]> {
  return rowsOf<ViewFacts & Row>(
    db,
    `select ${nameOf('c', 'n')} as name, c.relkind = 'm' as materialized, pg_get_userbyid(c.relowner)::text as owner,
            coalesce(c.reloptions @> array['security_invoker=true'], false) as "securityInvoker",
            array(select distinct ${nameOf('t', 'tn')}
                  from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
                  join pg_class t on t.oid = d.refobjid and t.relkind in ('r', 'p') join pg_namespace tn on tn.oid = t.relnamespace
                  where w.ev_class = c.oid order by 1) as reads
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('v', 'm') and ${hostSchemas} and ${notOfExtension('pg_class', 'c.oid')}
     order by 1`,
    [schema],
  );
}

export async function selectFunctions(
  db: Queryable,
  schema: string,
): Promise<(Omit<FunctionFacts, 'touches'> & { source: string })[]> {
  return rowsOf<Omit<FunctionFacts, 'touches'> & { source: string } & Row>(
    db,
    `select format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) as name,
            l.lanname::text as language, f.prosecdef as "securityDefiner", pg_get_userbyid(f.proowner)::text as owner,
            coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) as source
     from pg_proc f join pg_namespace n on n.oid = f.pronamespace join pg_language l on l.oid = f.prolang
     where ${hostSchemas} and ${notOfExtension('pg_proc', 'f.oid')}
     order by 1`,
    [schema],
  );
}

export async function selectSequences(db: Queryable, schema: string): Promise<SequenceFacts[]> {
  return rowsOf<SequenceFacts & Row>(
    db,
    `select ${nameOf('c', 'n')} as name, pg_get_userbyid(c.relowner)::text as owner,
            (select format('%I.%I.%I', tn.nspname, t.relname, a.attname)
             from pg_depend d join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
             join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
             where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
               and d.deptype in ('a', 'i') limit 1) as "ownedBy",
            case when to_regrole('tenantry_app') is null then false else has_sequence_privilege('tenantry_app', c.oid, 'usage') end as usable
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'S' and ${hostSchemas} and ${notOfExtension('pg_class', 'c.oid')}
     order by 1`,
    [schema],
  );
}

/** Tables that are not the host's to change: extensions' (`e`) and foreign ones (`f`). */
export async function selectForeignAndExtensionTables(
  db: Queryable,
  schema: string,
): Promise<{ name: string; reason: 'extension' | 'foreign' }[]> {
  return rowsOf<{ name: string; reason: 'extension' | 'foreign' }>(
    db,
    `select ${nameOf('c', 'n')} as name, case c.relkind when 'f' then 'foreign' else 'extension' end as reason
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where ${hostSchemas}
       and (c.relkind = 'f' or (c.relkind in ('r', 'p') and not ${notOfExtension('pg_class', 'c.oid')}))
     order by 1`,
    [schema],
  );
}

export async function selectPublished(db: Queryable, schema: string): Promise<PublishedFacts[]> {
  return rowsOf<PublishedFacts & Row>(
    db,
    `select p.pubname::text as publication, format('%I.%I', p.schemaname, p.tablename) as "table",
            coalesce(b.pubupdate and (c.relreplident = 'n' or (c.relreplident = 'd'
              and not exists (select from pg_index x where x.indrelid = c.oid and x.indisprimary))), false) as "updatesRefused"
     from pg_publication_tables p join pg_publication b on b.pubname = p.pubname
     join pg_namespace n on n.nspname = p.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
     where p.schemaname <> $1::text order by 1, 2`,
    [schema],
  );
}

export async function selectSchemas(db: Queryable, schema: string): Promise<SchemaFacts[]> {
  return rowsOf<SchemaFacts & Row>(
    db,
    `select n.nspname::text as name, pg_get_userbyid(n.nspowner)::text as owner,
            array(select r.rolname::text from pg_roles r
                  where r.rolname in ('tenantry_owner', 'tenantry_app')
                    and exists (select from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
                                where a.grantee = r.oid and a.privilege_type = 'USAGE') order by 1) as "usedBy"
     from pg_namespace n where ${hostSchemas} order by 1`,
    [schema],
  );
}
