import { ident, literal } from '../../database/sql.ts';
import { keyAmong, organizationKey, stableText } from '../key-text.ts';
import type { Plan } from '../plan-types.ts';
import type { MembershipPlan, MembershipSource } from './types.ts';

/** The rows of an old table that count, under the alias of a single table, so that a condition names its columns alone. */
function counted(table: string, where: string | undefined): string {
  return where === undefined ? table : `(select * from ${table} where (\n${where}\n))`;
}

/** `old_key, email, email_key, name` of the old users; address and name are null where Tenantry cannot take them. */
export function oldUsers({ users, userKey }: MembershipPlan, among: string | null): string {
  const email = `pg_catalog.btrim(u.${ident(users.email)}::text, E' \\t\\r\\n')`;
  const usable = `pg_catalog.length(${email}) between 3 and 320 and pg_catalog.strpos(${email}, '@') > 1`;
  const name = users.name === undefined ? 'null::text' : `pg_catalog.left(u.${ident(users.name)}::text, 255)`;
  const key = `u.${ident(users.key)}`;
  return `select ${stableText(key, userKey.type)} as old_key, case when ${usable} then ${email} end as email,
  case when ${usable} then pg_catalog.lower(${email}) end as email_key, nullif(${name}, '') as name
from ${counted(users.table, users.where)} u
where ${key} is not null${among === null ? '' : ` and ${keyAmong(key, userKey.type, among)}`}`;
}

/** Where the rows of a source are looked for: those of some users, those of one organization, or all. */
export interface Narrowed {
  readonly users?: string;
  readonly organization?: string;
}

/** `old_key, org_key, role` of one source; what maps to `none` is left out, and so are rows without a user or an organization. */
export function oldMembers(plan: Plan, source: MembershipSource, { users, organization }: Narrowed = {}): string {
  const user = `s.${ident(source.user)}`;
  const { join, key } = organizationOf(plan, source);
  const conditions = [
    `${user} is not null`,
    ...(users === undefined ? [] : [keyAmong(user, source.userColumn.type, users)]),
  ];
  const among = organization === undefined ? '' : ` and m.org_key = ${organization}`;
  return `select m.old_key, m.org_key, m.role from (
  select ${stableText(user, source.userColumn.type)} as old_key, ${key} as org_key, ${roleOf(source)} as role
  from ${counted(source.table, source.where)} s${join}
  where ${conditions.join(' and ')}
) m where m.org_key is not null and m.role <> 'none'${among}`;
}

function organizationOf(plan: Plan, source: MembershipSource): { join: string; key: string } {
  if (source.array === 'none') {
    return {
      join: '',
      key:
        source.organizationColumns.length === 0
          ? literal(plan.constant?.key ?? '')
          : organizationKey('s', source.organizationColumns),
    };
  }
  const [column] = source.organizationColumns;
  const array = `s.${ident(column?.name ?? '')}`;
  if (source.array === 'json') {
    const elements = jsonElements(array);
    return { join: ` cross join lateral ${elements} with ordinality o(value, n)`, key: 'o.value' };
  }
  return {
    join: ` cross join lateral pg_catalog.unnest(${array}) with ordinality o(value, n)`,
    key: stableText('o.value', column?.type ?? 'text'),
  };
}

/** A JSON array's elements as text; anything else has none. */
function jsonElements(value: string): string {
  return `pg_catalog.jsonb_array_elements_text(case pg_catalog.jsonb_typeof(${value}::jsonb) when 'array' then ${value}::jsonb else '[]'::jsonb end)`;
}

/** `admin`, `member` or `none`: of several roles the one that may most. */
function roleOf(source: MembershipSource): string {
  const { '*': otherwise = 'member', ...named } = source.roleMap;
  const map = (value: string): string => {
    const cases = Object.entries(named).map(([old, role]) => ` when ${literal(old)} then ${literal(role)}`);
    return cases.length === 0
      ? `${literal(otherwise)}::text`
      : `(case ${value}${cases.join('')} else ${literal(otherwise)} end)`;
  };
  if (source.role !== undefined) return map(`s.${ident(source.role)}::text`);
  if (source.roles_column === undefined) return `${literal(otherwise)}::text`;
  const roles = `s.${ident(source.roles_column)}`;
  const elements = source.rolesArray === 'json' ? jsonElements(roles) : `pg_catalog.unnest(${roles})`;
  const most = `case when pg_catalog.bool_or(r.mapped = 'admin') then 'admin' when pg_catalog.bool_or(r.mapped = 'member') then 'member' when pg_catalog.count(*) > 0 then 'none' else ${literal(otherwise)} end`;
  const only = source.roles_by === 'position' ? ' where v.n = o.n' : '';
  return `(select ${most} from (select ${map('v.value::text')} as mapped from ${elements} with ordinality v(value, n)${only}) r)`;
}

/** The text of every organization's key as the root says it, before there is an organization. */
export function rootKeys(plan: Plan): string {
  if (plan.constant !== null) return `select ${literal(plan.constant.key)}::text as key`;
  if (plan.mapping !== null)
    return `select pg_catalog.to_jsonb(q.key) #>> '{}' as key from (${plan.mapping.query}\n) q`;
  const root = plan.tables.find((table) => table.class === 'root');
  return `select ${organizationKey('t', plan.keys[root?.table ?? ''] ?? [])} as key from ${root?.table ?? ''} t`;
}

/** `role`: every role that a source names, as text; null where it names none. */
export function oldRoles(source: MembershipSource): string | null {
  const from = counted(source.table, source.where);
  if (source.role !== undefined) return `select distinct s.${ident(source.role)}::text as role from ${from} s`;
  if (source.roles_column === undefined) return null;
  const roles = `s.${ident(source.roles_column)}`;
  const elements = source.rolesArray === 'json' ? jsonElements(roles) : `pg_catalog.unnest(${roles})`;
  return `select distinct v.value::text as role from ${from} s cross join lateral ${elements} v(value)`;
}

/** A key where the mapping query knows it, before there is an organization; null else. */
export const knownKey =
  (plan: Plan) =>
  (key: string): string =>
    `case when ${key} in (select x.key from (${rootKeys(plan)}) x) then ${key} end`;
