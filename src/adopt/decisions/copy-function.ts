import { ident, literal, type Statement } from '../../database/sql.ts';
import type { ForeignKey, Inspection, TableName } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { functionName } from '../steps/names.ts';
import { dollarQuoted } from '../steps/trigger-function.ts';

/** The function that answers with a tenant's copy of a row, and makes it the first time. */
export function copyFunction(table: Pick<TablePlan, 'table'>): string {
  return functionName('copy', table.table);
}

interface KeyOf {
  readonly column: string;
  readonly type: string;
}

function keyOf(table: TablePlan): KeyOf {
  return { column: ident(table.primaryKey[0] ?? ''), type: table.rule?.keyTypes[0] ?? 'text' };
}

/** Grants, function, and the way back. */
export function copyingUp(
  plan: Plan,
  table: TablePlan,
  removal: readonly Statement[],
): { readonly up: Statement[]; readonly down: Statement[] } {
  const { type } = keyOf(table);
  const name = copyFunction(table);
  const signature = `${name}(${type}, uuid)`;
  return {
    up: [
      {
        purpose: 'copies are made by a function that runs as tenantry_owner',
        text: `grant insert, delete on ${table.table} to tenantry_owner`,
      },
      { purpose: 'with keys from the sequence of the column', text: sequences(table, 'grant') },
      {
        purpose: `a tenant's own copy of a row of ${table.table}`,
        text: `create or replace function ${name}(p_key ${type}, p_tenant uuid) returns ${type} language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as ${dollarQuoted(body(plan, table))}`,
      },
      { purpose: 'it runs as the owner of the tables', text: `alter function ${signature} owner to tenantry_owner` },
      { purpose: 'and for nobody else', text: `revoke all on function ${signature} from public` },
    ],
    down: [
      ...removal,
      { purpose: 'as before', text: `drop function if exists ${signature}` },
      { purpose: 'as before', text: sequences(table, 'revoke') },
      { purpose: 'as before', text: `revoke insert, delete on ${table.table} from tenantry_owner` },
    ],
  };
}

function sequences(table: TablePlan, action: 'grant' | 'revoke'): string {
  return `do $do$
declare
  v_sequence text;
begin
  for v_sequence in
    select s.oid::pg_catalog.regclass::text from pg_catalog.pg_attrdef d
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    join pg_catalog.pg_depend x on x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and x.objid = d.oid and x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    join pg_catalog.pg_class s on s.oid = x.refobjid and s.relkind = 'S' and s.relowner <> 'tenantry_owner'::pg_catalog.regrole
    where d.adrelid = ${literal(table.table)}::pg_catalog.regclass and a.attname = ${literal(table.primaryKey[0] ?? '')}
  loop
    execute '${action} usage on sequence ' || v_sequence || ' ${action === 'grant' ? 'to' : 'from'} tenantry_owner';
  end loop;
end $do$`;
}

function body(plan: Plan, table: TablePlan): string {
  const { column: key, type } = keyOf(table);
  const tenant = ident(plan.column);
  const name = literal(table.table);
  const [way] = table.via;
  const replaced = [...table.primaryKey, plan.column, ...(way?.columns ?? [])];
  const target = ['%s', tenant, ...(way?.columns ?? []).map(ident)].join(', ');
  const source = ['%s', '$2', ...(way?.parentColumns ?? []).map((c) => `r.${ident(c)}`)].join(', ');
  const root = way === undefined ? '' : ` join ${way.parent} r on r.${tenant} = $2`;
  const insert = `insert into ${table.table} (${target}) select ${source} from ${table.table} t${root} where t.${key} = $1 returning ${key}`;
  return `declare
  v_original ${type} := p_key;
  v_owner uuid;
  v_new ${type};
  v_columns text;
  v_values text;
begin
  select d.original_key::${type} into v_new from tenantry.adoption_duplicates d where d.table_name = ${name} and d.new_key = p_key::text;
  if found then
    v_original := v_new;
  end if;
  -- one at a time for each row: two statements at once would make a copy each
  select t.${tenant} into v_owner from ${table.table} t where t.${key} = v_original for no key update;
  if not found then
    return p_key;
  elsif v_owner = p_tenant then
    return v_original;
  elsif v_owner is null then
    update ${table.table} t set ${tenant} = p_tenant where t.${key} = v_original;
    return v_original;
  end if;
  select t.${key} into v_new from tenantry.adoption_duplicates d join ${table.table} t on t.${key} = d.new_key::${type}
    where d.table_name = ${name} and d.original_key = v_original::text and d.organization_id = p_tenant and t.${tenant} = p_tenant;
  if found then
    return v_new;
  end if;
  -- the columns as they are now: some may have come since the plan was made
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum), string_agg('t.' || quote_ident(a.attname), ', ' order by a.attnum)
    into v_columns, v_values from pg_attribute a
    where a.attrelid = ${name}::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a'
      and a.attname <> all (array[${replaced.map(literal).join(', ')}]::name[]);
  execute format(${literal(insert)}, v_columns, v_values) into v_new using p_key, p_tenant;
  insert into tenantry.adoption_duplicates (run_id, table_name, original_key, organization_id, new_key)
    select r.id, ${name}, v_original::text, p_tenant, v_new::text from tenantry.adoption_runs r where r.status = 'open'
    on conflict (table_name, original_key, organization_id) do update set new_key = excluded.new_key;
  return v_new;
end `;
}

const sleep: Statement = {
  purpose: "the application's own triggers sleep meanwhile",
  text: `select pg_catalog.set_config('app.adopt_backfill', 'on', true)`,
};

/** A copy that still says what its original says: what somebody changed since, on either side, is data of its own. */
function same(plan: Plan, table: TablePlan): string {
  const { column, type } = keyOf(table);
  const other = [...table.primaryKey, plan.column, ...table.via.flatMap((way) => way.columns)];
  const without = `array[${other.map(literal).join(', ')}]::text[]`;
  return `o.${column} = d.original_key::${type} and pg_catalog.to_jsonb(o) - ${without} = pg_catalog.to_jsonb(t) - ${without}`;
}

/** Puts references back to the originals of copies that nobody changed. */
export function unchangedCopies(plan: Plan, table: TablePlan, leaf: TableName, key: ForeignKey): Statement[] {
  const { column, type } = keyOf(table);
  const child = ident(key.columns[0] ?? '');
  return [
    sleep,
    {
      purpose: `references of ${leaf} lead to the originals again`,
      text: `update only ${leaf} c set ${child} = o.${column} from tenantry.adoption_duplicates d join ${table.table} t on t.${column} = d.new_key::${type} join ${table.table} o on ${same(plan, table)} where d.table_name = ${literal(table.table)} and c.${child} = t.${column}`,
    },
  ];
}

/** Removes the copies that nobody changed and nobody refers to; what stays is data, and stays listed. */
export function removeCopies(plan: Plan, table: TablePlan, inspection: Inspection): Statement[] {
  const { column, type } = keyOf(table);
  const free = inspection.foreignKeys
    .filter((key) => key.parent === table.table && key.columns.length === 1)
    .map((key) => `not exists (select from ${key.table} u where u.${ident(key.columns[0] ?? '')} = t.${column})`);
  const name = literal(table.table);
  return [
    sleep,
    {
      purpose: `the copies in ${table.table} go`,
      text: `delete from ${table.table} t using tenantry.adoption_duplicates d, ${table.table} o where d.table_name = ${name} and t.${column} = d.new_key::${type} and ${[same(plan, table), ...free].join(' and ')}`,
    },
    {
      purpose: 'and are forgotten; one that was changed since stays, with what refers to it',
      text: `delete from tenantry.adoption_duplicates d where d.table_name = ${name} and not exists (select from ${table.table} t where t.${column} = d.new_key::${type})`,
    },
  ];
}
