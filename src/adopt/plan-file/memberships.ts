import type { Document } from 'yaml';
import { YAMLMap, YAMLSeq } from 'yaml';
import { z } from 'zod';
import type { Inspection } from '../inspection.ts';
import { declareMemberships, MembershipProblem } from '../memberships/declare.ts';
import type { PlanDecisions } from '../plan.ts';
import { keyShape } from '../plan-root.ts';
import type { Plan } from '../plan-types.ts';
import { invalid } from './lines.ts';

const text = z.string().min(1);
const role = z.enum(['admin', 'member', 'none'], { message: 'must be admin, member or none' });

/** How old user and organization tables become users and members. */
export const membershipsSchema = z.strictObject({
  users: z.strictObject({
    table: text,
    key: text,
    email: text,
    name: text.optional(),
    where: text.optional(),
    duplicates: z.enum(['stop', 'merge'], { message: 'must be stop or merge' }).optional(),
    without_email: z.enum(['stop', 'skip'], { message: 'must be stop or skip' }).optional(),
  }),
  from: z
    .array(
      z.strictObject({
        table: text,
        user: text,
        organization: z.union([text, z.array(text).min(1)]).optional(),
        organizations: text.optional(),
        role: text.optional(),
        roles_column: text.optional(),
        roles_by: z.enum(['position', 'user'], { message: 'must be position or user' }).optional(),
        roles: z.record(z.string(), role).optional(),
        where: text.optional(),
      }),
    )
    .min(1),
  dangling: z.enum(['stop', 'skip'], { message: 'must be stop or skip' }).optional(),
});

/** @throws TNT_PLAN_INVALID with the line of a table or column that is not there */
export function checkMemberships(
  inspection: Inspection,
  decisions: PlanDecisions,
  lineOf: (path: readonly PropertyKey[]) => number,
): void {
  if (decisions.memberships === undefined) return;
  try {
    declareMemberships(inspection, decisions.memberships, keyShape(inspection, decisions));
  } catch (error) {
    if (!(error instanceof MembershipProblem)) throw error;
    const path = ['memberships', ...error.path];
    throw invalid(lineOf(path), `${path.join('.')}: ${error.message}`);
  }
}

export function setMemberships(document: Document, { memberships }: Plan): void {
  if (memberships === null) return;
  // the decisions may have come from a file or from a program: one form, without what is left out
  const node: unknown = document.createNode(JSON.parse(JSON.stringify(memberships.decisions)));
  if (!(node instanceof YAMLMap)) return;
  const users: unknown = node.get('users', true);
  if (users instanceof YAMLMap) users.flow = true;
  const from: unknown = node.get('from', true);
  if (from instanceof YAMLSeq) for (const entry of from.items) if (entry instanceof YAMLMap) entry.flow = true;
  document.set('memberships', node);
}
