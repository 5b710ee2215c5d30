import type { Document, YAMLMap } from 'yaml';
import { isMap, isSeq } from 'yaml';
import { z } from 'zod';
import type { TablePlan } from '../plan-types.ts';

/** What a table's entry may say about its unique keys, and about foreign keys that carry the tenant. */
export const keyDecisionFields = {
  uniques: z
    .record(z.string(), z.enum(['per-tenant', 'global'], { message: 'must be per-tenant or global' }))
    .optional(),
  composite_keys: z.array(z.string().min(1)).optional(),
};

/** Writes decisions behind a table's class and ways, in the order of the keys. */
export function setKeyDecisions(document: Document, value: YAMLMap, { uniques, compositeKeys }: TablePlan): void {
  const decided = uniques.flatMap(({ name, decided: decision }) => (decision === null ? [] : [[name, decision]]));
  if (decided.length > 0) {
    const map = document.createNode(Object.fromEntries(decided));
    if (isMap(map)) map.flow = true;
    value.set('uniques', map);
  }
  if (compositeKeys.length > 0) {
    const list = document.createNode(compositeKeys);
    if (isSeq(list)) list.flow = true;
    value.set('composite_keys', list);
  }
}

/** What is said about unique keys, above the table's decision. */
export function describeUniques({ uniques }: TablePlan): string[] {
  return uniques.flatMap(({ name, columns, proposal, reason, decided, obstacle }) => {
    const key = name.startsWith('(')
      ? `New key ${name}`
      : `Unique ${name}${columns.length > 0 ? ` (${columns.join(', ')})` : ''}`;
    if (decided === 'per-tenant')
      return [
        name.startsWith('(')
          ? `${key}: unique per tenant from tighten on.`
          : `${key} becomes per tenant: made beside it in tighten; the global one goes by: tenantry adopt contract.`,
      ];
    if (decided === 'global' || (proposal === 'global' && obstacle === null)) return [];
    if (proposal === 'global') return [`${key} is global: ${reason}.`];
    return [`${key} is global: ${reason}. Proposed: uniques: {${plainKey(name)}: per-tenant}`];
  });
}

const plainKey = (name: string): string => (/^[A-Za-z_][\w-]*$/.test(name) ? name : JSON.stringify(name));
