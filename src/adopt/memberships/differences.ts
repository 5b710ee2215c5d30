import type { CheckStep, Plan } from '../plan-types.ts';
import { oldMembers, oldUsers } from './read-sql.ts';
import type { MembershipPlan } from './types.ts';

/** Most keys of findings that a check lists; the count is exact all the same. */
const listed = 20;

/** Memberships as the old tables say them, by address and key alone: nothing of what the adoption wrote down is used. */
function expected(plan: Plan, memberships: MembershipPlan): string {
  return `select m.old_key, u.email_key, m.org_key, m.role
  from (${memberships.sources.map((source) => oldMembers(plan, source)).join(' union all ')}) m
  left join (${oldUsers(memberships, null)}) u on u.old_key = m.old_key`;
}

const run = `(select r.id from tenantry.adoption_runs r where r.status = 'open')`;

/** Where old tables and memberships differ, one row each: `old_key` (null where the old row is gone), `org_key`, `finding`. */
export function differences(plan: Plan, memberships: MembershipPlan): string {
  return `with old as (${expected(plan, memberships)}),
  wanted as (
    select min(x.old_key) as old_key, x.email_key, x.org_key, case when bool_or(x.role = 'admin') then 'admin' else 'member' end as role
    from old x where x.email_key is not null and exists (select from tenantry.organizations o where o.key = x.org_key) group by 2, 3),
  present as (
    select u.email_key, o.key as org_key, m.role, a.user_id is not null as made, coalesce(a.held, false) as held,
           (select min(k.old_key) from tenantry.adoption_user_keys k where k.run_id = ${run} and k.user_id = m.user_id) as old_key
    from tenantry.org_members m join tenantry.users u on u.id = m.user_id join tenantry.organizations o on o.id = m.tenant_id
    left join tenantry.adoption_members a on a.run_id = ${run} and a.tenant_id = m.tenant_id and a.user_id = m.user_id)
  select coalesce(w.old_key, p.old_key) as old_key, coalesce(w.org_key, p.org_key) as org_key,
    case when p.org_key is null then 'memberships of the old tables missing'
         when p.held then 'administrators gone from the old tables, kept because the organization has no other: name another one'
         when w.org_key is null then 'memberships unknown to the old tables'
         else 'memberships with another role than in the old tables' end as finding
  from wanted w full join present p on p.email_key = w.email_key and p.org_key = w.org_key
  where p.org_key is null or (p.made and (w.org_key is null or w.role <> p.role))`;
}

/** The checks of memberships: one row of `finding, rows, keys` for each fault. */
export function planMembershipChecks(plan: Plan, memberships: MembershipPlan): CheckStep[] {
  const { users } = memberships;
  const { dangling } = memberships.decisions;
  const checks = [
    `select d.finding, coalesce('user ' || d.old_key, 'user gone') || ' in ' || d.org_key as key from (${differences(plan, memberships)}) d`,
  ];
  if (users.without_email !== 'skip')
    checks.push(
      `select 'users without a usable e-mail address' as finding, u.old_key as key from (${oldUsers(memberships, null)}) u where u.email_key is null`,
    );
  if (users.duplicates !== 'merge')
    checks.push(
      `select 'e-mail addresses of several users' as finding, pg_catalog.string_agg(u.old_key, ' = ' order by u.old_key) as key from (${oldUsers(memberships, null)}) u where u.email_key is not null group by u.email_key having count(*) > 1`,
    );
  if (dangling !== 'skip')
    checks.push(
      `select 'memberships without their user or organization' as finding, 'user ' || x.old_key || ' in ' || x.org_key as key from (${expected(plan, memberships)}) x
       where not exists (select from tenantry.organizations o where o.key = x.org_key) or x.old_key not in (select u.old_key from (${oldUsers(memberships, null)}) u)`,
    );
  return checks.map((text, i) => ({
    id: `verify/memberships/${i + 1}`,
    phase: 'verify',
    table: users.table,
    kind: 'check',
    up: [
      {
        purpose: `memberships agree with the old tables (${users.table})`,
        text: `select f.finding, count(*)::float8 as rows, (array_agg(f.key order by f.key))[1:${listed}] as keys from (${text}) f group by f.finding order by f.finding`,
      },
    ],
    down: [],
  }));
}
