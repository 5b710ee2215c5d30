import { ident, literal, type Statement } from '../../database/sql.ts';
import { stableText } from '../key-text.ts';
import type { Plan } from '../plan-types.ts';
import { dollarQuoted } from '../steps/trigger-function.ts';
import { differences } from './differences.ts';
import { oldMembers, oldUsers } from './read-sql.ts';
import type { MembershipPlan } from './types.ts';

/** Mostly one user's rows: the planner goes by indexes, which suits a batch as well. */
const few = 'language plpgsql stable rows 5';

/** In PL/pgSQL the plan is kept: one in SQL is planned anew by each call of a trigger. */
const returning = (query: string): string => `#variable_conflict use_column\nbegin return query\n${query};\nend `;

interface Signature {
  readonly name: string;
  readonly parameters: string;
  readonly returns: string;
}

/** The functions that read the old tables, under the names that Tenantry's own functions call. They run as tenantry_owner. */
export function membershipFunctions(plan: Plan, memberships: MembershipPlan): { up: Statement[]; down: Statement[] } {
  const { userKey, sources, users } = memberships;
  const members = (narrowed: Parameters<typeof oldMembers>[2]): string =>
    sources.map((source) => oldMembers(plan, source, narrowed)).join('\nunion all\n');
  const key = `u.${ident(userKey.name)}`;
  // rows with one address, or two tables that say something of one membership, are seen whole by one writer at a time
  const alone = users.duplicates === 'merge' || sources.length > 1;
  const made: [Signature, string, string][] = [
    [
      {
        name: 'adopt_old_users',
        parameters: 'p_keys text[]',
        returns: 'table (old_key text, email text, email_key text, name text)',
      },
      few,
      returning(oldUsers(memberships, 'p_keys')),
    ],
    [
      {
        name: 'adopt_old_members',
        parameters: 'p_keys text[]',
        returns: 'table (old_key text, org_key text, role text)',
      },
      few,
      returning(members({ users: 'p_keys' })),
    ],
    [
      { name: 'adopt_old_keys_of', parameters: 'p_organization text', returns: 'setof text' },
      'language sql stable',
      `select distinct k.old_key from (\n${members({ organization: 'p_organization' })}\n) k`,
    ],
    [
      { name: 'adopt_old_keys', parameters: 'p_after text, p_limit integer', returns: 'setof text' },
      'language sql stable',
      `select ${stableText(key, userKey.type)} from ${users.table} u where ${key} is not null and (p_after is null or ${key} > p_after::${userKey.type}) order by ${key} limit p_limit`,
    ],
    [
      { name: 'adopt_sync', parameters: 'p_keys text[], p_alone boolean', returns: 'integer' },
      'language plpgsql volatile',
      `begin return tenantry.adopt_sync_users(p_keys, ${users.duplicates === 'merge'}, p_alone or ${alone}); end `,
    ],
    [
      { name: 'adopt_repair_members', parameters: '', returns: 'integer' },
      'language plpgsql volatile',
      `declare
  v_changed integer;
begin
  v_changed := tenantry.adopt_sync(array(select d.old_key from (${differences(plan, memberships)}) d where d.old_key is not null group by 1), true);
  delete from tenantry.adoption_missed;
  return v_changed;
end `,
    ],
  ];
  return {
    up: made.flatMap(([{ name, parameters, returns }, language, body]) => [
      {
        purpose: `${name}: reads the old tables of users and memberships`,
        text: `create or replace function tenantry.${name}(${parameters}) returns ${returns} ${language} security definer set search_path = pg_catalog, pg_temp as ${dollarQuoted(body)}`,
      },
      {
        purpose: 'it runs as the owner of the tables, and for nobody else',
        text: `alter function tenantry.${name} owner to tenantry_owner; revoke all on function tenantry.${name} from public`,
      },
    ]),
    down: made.map(([{ name }]) => ({ purpose: 'as before', text: `drop function if exists tenantry.${name}` })),
  };
}

/** The old rows that concern the row of a table, as texts: `old.user_id::text`. */
export function concerned({ users, userKey, sources }: MembershipPlan, table: string, alias: string): string[] {
  const columns = [
    ...(users.table === table ? [userKey] : []),
    ...sources.filter((source) => source.table === table).map((source) => source.userColumn),
  ];
  return [...new Set(columns.map(({ name, type }) => stableText(`${alias}.${ident(name)}`, type)))];
}

/** What a change of a row must touch to matter; null when a condition may read any column. */
export function watched({ users, sources }: MembershipPlan, table: string): string[] | null {
  const own = sources.filter((source) => source.table === table);
  const isUsers = users.table === table;
  if ((isUsers && users.where !== undefined) || own.some((source) => source.where !== undefined)) return null;
  const names = [
    ...(isUsers ? [users.key, users.email, users.name] : []),
    ...own.flatMap((source) => [
      source.user,
      ...[source.organization ?? []].flat(),
      source.organizations,
      source.role,
      source.roles_column,
    ]),
  ];
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** A text for the log of the server that names no value. */
export const waiting = (table: string): string =>
  literal(`tenantry: memberships by ${table.replaceAll('%', '%%')} wait: %`);
