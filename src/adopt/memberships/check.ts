import { literal, type Queryable, type Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Plan } from '../plan-types.ts';
import { oldMembers, oldRoles, oldUsers, rootKeys } from './read-sql.ts';
import type { MembershipPlan } from './types.ts';

interface Problem {
  readonly what: string;
  readonly rows: number;
  readonly keys: readonly string[];
  /** The decision that settles it. */
  readonly remedy: string;
}

const listed = 1000;

/** What the old tables will become: shown before anything is made. */
export interface MembershipSummary {
  readonly users: number;
  readonly memberships: number;
  /** Organizations that will have members and no administrator. */
  readonly withoutAdmin: number;
  /** Old roles that no entry of `roles` names: they become what `*` says. */
  readonly otherRoles: readonly string[];
}

/**
 * Looks at the old tables before anything is changed. Reads them alone.
 *
 * @throws TNT_ADOPT_MEMBERSHIPS listing users that cannot be told apart or reached, and memberships that lead nowhere
 */
export async function requireMemberships(db: Queryable, plan: Plan): Promise<void> {
  const { memberships } = plan;
  if (memberships === null) return;
  const problems = await readProblems(db, plan, memberships);
  if (problems.length === 0) return;
  throw new TenantryError(
    'TNT_ADOPT_MEMBERSHIPS',
    `The old users and memberships cannot be taken as they are: ${problems
      .map(
        ({ what, rows, keys, remedy }) =>
          `${rows} ${what} (${keys.slice(0, 10).join('; ')}${rows > 10 ? '; …' : ''}; ${remedy})`,
      )
      .join(', ')}.`,
    { details: { problems } },
  );
}

async function readProblems(db: Queryable, plan: Plan, memberships: MembershipPlan): Promise<Problem[]> {
  const { users } = memberships;
  const { dangling } = memberships.decisions;
  const old = oldUsers(memberships, null);
  const checks: [what: string, remedy: string, text: string][] = [
    [
      'old tables with row-level security of their own',
      'their policies would hide rows from Tenantry: switch it off before',
      `select t.name as key from (values ${memberships.tables.map((name) => `(${literal(name)})`).join(', ')}) t(name)
       join pg_catalog.pg_class c on c.oid = t.name::regclass where c.relrowsecurity`,
    ],
    [
      `keys that several rows of ${users.table} have`,
      'users.key must be unique',
      `select u.old_key as key from (${old}) u group by 1 having count(*) > 1`,
    ],
  ];
  if (users.without_email !== 'skip')
    checks.push([
      'users without a usable e-mail address',
      'correct them, or leave them out with users.without_email: skip',
      `select u.old_key as key from (${old}) u where u.email_key is null`,
    ]);
  if (users.duplicates !== 'merge')
    checks.push([
      'e-mail addresses of several users',
      'correct them, or make each one user with users.duplicates: merge',
      `select string_agg(u.old_key, ' = ' order by u.old_key) as key from (${old}) u where u.email_key is not null group by u.email_key having count(*) > 1`,
    ]);
  if (dangling !== 'skip')
    checks.push([
      'memberships without their user or organization',
      'correct them, or leave them out with memberships.dangling: skip',
      `select distinct 'user ' || m.old_key || ' in ' || m.org_key as key
       from (${memberships.sources.map((source) => oldMembers(plan, source)).join(' union all ')}) m
       left join (${old}) u on u.old_key = m.old_key left join (${rootKeys(plan)}) r on r.key = m.org_key
       where u.old_key is null or r.key is null`,
    ]);
  const problems: Problem[] = [];
  for (const [what, remedy, text] of checks) {
    const { rows } = await db.query<Row & { rows: number; keys: string[] | null }>(
      `select count(*)::int as rows, (array_agg(p.key order by p.key))[1:${listed}] as keys from (${text}) p`,
    );
    const found = rows[0];
    if (found !== undefined && found.rows > 0)
      problems.push({ what, remedy, rows: found.rows, keys: found.keys ?? [] });
  }
  return problems;
}

/** Counts what will be made. Reads the old tables alone. */
export async function summarizeMemberships(db: Queryable, plan: Plan): Promise<MembershipSummary | null> {
  const { memberships } = plan;
  if (memberships === null) return null;
  const members = memberships.sources.map((source) => oldMembers(plan, source)).join(' union all ');
  const { rows } = await db.query<Row & { users: number; memberships: number; withoutAdmin: number }>(
    `with u as (${oldUsers(memberships, null)}), m as (
       select u.email_key, m.org_key, bool_or(m.role = 'admin') as admin
       from (${members}) m join u on u.old_key = m.old_key and u.email_key is not null join (${rootKeys(plan)}) r on r.key = m.org_key group by 1, 2)
     select (select count(distinct u.email_key) from u)::int as users, (select count(*) from m)::int as memberships,
       (select count(*) from (select m.org_key from m group by 1 having not bool_or(m.admin)) x)::int as "withoutAdmin"`,
  );
  const { users = 0, memberships: count = 0, withoutAdmin = 0 } = rows[0] ?? {};
  return { users, memberships: count, withoutAdmin, otherRoles: await otherRoles(db, memberships) };
}

async function otherRoles(db: Queryable, { sources }: MembershipPlan): Promise<string[]> {
  const found = new Set<string>();
  for (const source of sources) {
    const text = oldRoles(source);
    if (text === null) continue;
    const { rows } = await db.query<Row & { role: string }>(
      `select distinct x.role from (${text}) x where x.role is not null limit 100`,
    );
    for (const { role } of rows) if (!Object.hasOwn(source.roleMap, role)) found.add(role);
  }
  return [...found].sort();
}
