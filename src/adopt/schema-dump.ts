import type { Queryable, Row } from '../database/sql.ts';

/** `$1` is Tenantry's schema, which is left out; so is what belongs to extensions. */
const hostSchemas = `n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and n.nspname <> $1::text`;
const acl = (kind: string, column: string, owner: string): string =>
  `coalesce((select string_agg(format('%s=%s%s', case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, a.privilege_type, case when a.is_grantable then '*' else '' end), ',' order by 1)
     from (select * from aclexplode(coalesce(${column}, acldefault('${kind}', ${owner}))) order by grantee, privilege_type) a), '')`;
const notOfExtension = (catalog: string, oid: string): string =>
  `not exists (select from pg_depend x where x.classid = '${catalog}'::regclass and x.objid = ${oid} and x.deptype = 'e')`;

const parts: readonly { readonly title: string; readonly text: string }[] = [
  {
    title: 'schema',
    text: `select format('%I owner %I acl %s', n.nspname, pg_get_userbyid(n.nspowner), ${acl('n', 'n.nspacl', 'n.nspowner')}) as line
           from pg_namespace n where ${hostSchemas}`,
  },
  {
    title: 'relation',
    text: `select format('%I.%I kind %s owner %I persistence %s rls %s/%s options %s replica identity %s partition %s acl %s', n.nspname, c.relname, c.relkind,
             pg_get_userbyid(c.relowner), c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, coalesce(array_to_string(c.reloptions, ','), '-'), c.relreplident,
             coalesce(pg_get_expr(c.relpartbound, c.oid), '-'), ${acl('r', 'c.relacl', 'c.relowner')}) as line
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and ${hostSchemas} and ${notOfExtension('pg_class', 'c.oid')}`,
  },
  {
    title: 'sequence',
    text: `select format('%I.%I owner %I type %s start %s increment %s min %s max %s cycle %s acl %s', n.nspname, c.relname, pg_get_userbyid(c.relowner),
             s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, ${acl('s', 'c.relacl', 'c.relowner')}) as line
           from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace where ${hostSchemas}`,
  },
  {
    // by name: a dropped column leaves a gap in the numbers, not in the schema
    title: 'column',
    text: `select format('%I.%I %s %I %s not null %s default %s identity %s generated %s acl %s', n.nspname, c.relname,
             (select count(*) from pg_attribute b where b.attrelid = c.oid and b.attnum > 0 and not b.attisdropped and b.attnum <= a.attnum),
             a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), '-'),
             coalesce(nullif(a.attidentity::text, ''), '-'), coalesce(nullif(a.attgenerated::text, ''), '-'), coalesce(a.attacl::text, '-')) as line
           from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
           left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
           where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and ${hostSchemas}`,
  },
  {
    title: 'constraint',
    text: `select format('%I.%I %I %s validated %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated) as line
           from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace where ${hostSchemas}`,
  },
  {
    title: 'index',
    text: `select format('%s valid %s', pg_get_indexdef(x.indexrelid), x.indisvalid) as line
           from pg_index x join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'm') and ${hostSchemas}`,
  },
  {
    title: 'trigger',
    text: `select format('%s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled) as line
           from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
           where not t.tgisinternal and ${hostSchemas}`,
  },
  {
    title: 'policy',
    text: `select format('%I on %I.%I %s %s to %s using %s check %s', p.polname, n.nspname, c.relname, p.polcmd, p.polpermissive,
             (select string_agg(case r when 0 then 'public' else pg_get_userbyid(r) end, ',') from unnest(p.polroles) r),
             coalesce(pg_get_expr(p.polqual, p.polrelid), '-'), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')) as line
           from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace where ${hostSchemas}`,
  },
  {
    title: 'view',
    text: `select format('%I.%I %s', n.nspname, c.relname, pg_get_viewdef(c.oid)) as line
           from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('v', 'm') and ${hostSchemas} and ${notOfExtension('pg_class', 'c.oid')}`,
  },
  {
    title: 'function',
    text: `select format('%s owner %I acl %s %s', f.oid::regprocedure, pg_get_userbyid(f.proowner), ${acl('f', 'f.proacl', 'f.proowner')},
             case when f.prokind in ('f', 'p', 'w') then md5(pg_get_functiondef(f.oid)) else '-' end) as line
           from pg_proc f join pg_namespace n on n.oid = f.pronamespace where ${hostSchemas} and ${notOfExtension('pg_proc', 'f.oid')}`,
  },
];

/**
 * The host's schema as text, from the catalogue, in an order that depends on names alone: two databases with the same schema give
 * the same text. Privileges are compared as they act, so that a list that was never set equals one that says the same.
 *
 * @param schema Tenantry's own schema, which is left out
 */
export async function dumpSchema(db: Queryable, schema = 'tenantry'): Promise<string> {
  const lines: string[] = [];
  for (const { title, text } of parts) {
    const { rows } = await db.query<Row & { line: string }>(text, [schema]);
    lines.push(...rows.map(({ line }) => `${title} ${line}`).sort());
  }
  return `${lines.join('\n')}\n`;
}

/** The lines that are in one dump and not in the other, marked as a diff marks them. Empty when they are equal. */
export function compareDumps(before: string, after: string): string[] {
  const old = new Set(before.split('\n'));
  const now = new Set(after.split('\n'));
  return [
    ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}
