import { TenantryError } from '../errors.ts';
import type { Inspection, TableFacts } from './inspection.ts';
import { declareMemberships, MembershipProblem } from './memberships/declare.ts';
import type { MembershipPlan } from './memberships/types.ts';
import type { PlanDecisions } from './plan.ts';
import { organizationKeys } from './roots.ts';

const refuse = (message: string, hint?: string): never => {
  throw new TenantryError('TNT_PLAN_INVALID', message, hint === undefined ? {} : { hint });
};

/**
 * The root table; null where the tenants are the rows of a query, or one constant organization.
 *
 * @throws TNT_PLAN_INVALID unless the plan has exactly one of them, and it is there
 */
export function requireRoot(inspection: Inspection, decisions: PlanDecisions): TableFacts | null {
  const { root, query, constant, nameColumn: name } = decisions;
  const chosen = [root, query, constant].filter((choice) => choice !== undefined).length;
  if (chosen > 1)
    refuse('The plan names a root and a constant tenant, or a root table and a query: it can have one of them.');
  if (chosen === 0)
    refuse(
      'The plan names no root table and no constant tenant.',
      'Choose one with --root TABLE or --constant NAME; tenantry adopt inspect proposes roots.',
    );
  if (constant !== undefined) return null;
  if (query !== undefined) {
    const tables = Object.keys(decisions.keys ?? {});
    if (tables.length === 0) refuse('The plan has a root.query and no root.keys: name the tables that hold its key.');
    for (const table of tables)
      if (!inspection.tables.some((facts) => facts.name === table))
        refuse(`root.keys names ${table}, which is not in database ${inspection.database}.`);
    return null;
  }
  const facts = inspection.tables.find((table) => table.name === root);
  if (facts === undefined) return refuse(`The root table ${root ?? ''} is not in database ${inspection.database}.`);
  if (name !== undefined && !facts.columns.some((column) => column.name === name))
    refuse(`The root table ${facts.name} has no column ${name} (root.name).`);
  return facts;
}

/** The memberships that a plan declares, with their columns found. @throws TNT_PLAN_INVALID */
export function planMemberships(inspection: Inspection, decisions: PlanDecisions): MembershipPlan | null {
  if (decisions.memberships === undefined) return null;
  try {
    return declareMemberships(inspection, decisions.memberships, keyShape(inspection, decisions));
  } catch (error) {
    if (!(error instanceof MembershipProblem)) throw error;
    return refuse(`memberships.${error.path.join('.')}: ${error.message}.`);
  }
}

/** How many columns the organization's key has. */
export function keyShape(inspection: Inspection, decisions: PlanDecisions): { columns: number; constant: boolean } {
  const [first] = Object.values(organizationKeys(inspection, decisions));
  return { columns: first?.length ?? 1, constant: decisions.constant !== undefined };
}
