import type { Queryable } from '../database/sql.ts';
import { readUsage } from './data-facts.ts';
import type { PlanResult } from './adopt-types.ts';
import type { Inspection } from './inspection.ts';
import { type PlanDecisions, planAdoption } from './plan.ts';
import type { Plan } from './plan-types.ts';
import { withReferences } from './references/confirm.ts';
import { requireMemberships, summarizeMemberships } from './memberships/check.ts';
import { countOrganizations, requireRootKeys } from './root-keys.ts';
import { findReferences } from './references/find.ts';
import { ofAnother } from './preflight.ts';
import { selectUnreadable } from './preflight-queries.ts';
import { preflightError } from './refusals.ts';

/** The plan by decisions, with what only the data tells: how tables are used, and which columns look like references. */
export async function makePlan(db: Queryable, inspection: Inspection, decisions: PlanDecisions): Promise<Plan> {
  await requireReadable(db, inspection);
  const known = withReferences(inspection, decisions.references);
  const usage = await readUsage(db, known, decisions);
  const plan = planAdoption(inspection, decisions, usage, await findReferences(db, known));
  await requireUsableData(db, plan);
  return plan;
}

/** @throws TNT_PRIVILEGE_MISSING naming whose tables the login cannot read */
async function requireReadable(db: Queryable, { tables }: Inspection): Promise<void> {
  const unreadable = await selectUnreadable(
    db,
    tables.map(({ name }) => name),
  );
  if (unreadable.length > 0) throw preflightError(unreadable.map(ofAnother('read')));
}

/**
 * What no decision can plan around: keys that tell no organizations apart, users that cannot be told apart.
 *
 * @throws TNT_ADOPT_ROOT_KEYS, TNT_ADOPT_MEMBERSHIPS
 */
export async function requireUsableData(db: Queryable, plan: Plan): Promise<void> {
  await requireRootKeys(db, plan);
  await requireMemberships(db, plan);
}

/** How many organizations a plan makes, and what becomes of old memberships. Reads only. */
export async function outlook(db: Queryable, plan: Plan): Promise<Pick<PlanResult, 'organizations' | 'memberships'>> {
  return { organizations: await countOrganizations(db, plan), memberships: await summarizeMemberships(db, plan) };
}
