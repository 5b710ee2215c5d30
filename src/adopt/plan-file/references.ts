import type { Document } from 'yaml';
import { YAMLMap } from 'yaml';
import type { Inspection } from '../inspection.ts';
import type { FoundReference, Plan, ReferenceDecision } from '../plan-types.ts';
import { confirmReference, ReferenceProblem } from '../references/confirm.ts';
import { invalid } from './lines.ts';
import type { PlanFile } from './schema.ts';

/** The references that a person confirmed. */
export function setReferences(document: Document, { references }: Plan): void {
  if (references.length === 0) return;
  const list = document.createNode(references.map(({ from, to }) => ({ from, to })));
  for (const entry of list.items) if (entry instanceof YAMLMap) entry.flow = true;
  document.set('references', list);
}

/** The references that were found, as entries to uncomment: nothing is assumed. */
export function offerComment({ references, offers }: Plan): string | undefined {
  if (offers.length === 0) return undefined;
  return [
    ' Columns that look like references although no constraint says so. Uncomment those that are; nothing is assumed.',
    ' They then lead to the tenant like a foreign key. No constraint is made.',
    references.length === 0 ? ' references:' : ' (under references)',
    ...offers.flatMap((offer) => [`   # ${offer.confidence}: ${offer.reason}`, `   - ${writeEntry(offer)}`]),
  ].join('\n');
}

function writeEntry({ from, to }: ReferenceDecision | FoundReference): string {
  const target =
    typeof to === 'string'
      ? JSON.stringify(to)
      : `{${Object.entries(to)
          .map(([value, table]) => `${JSON.stringify(value)}: ${JSON.stringify(table)}`)
          .join(', ')}}`;
  return `{from: ${JSON.stringify(from)}, to: ${target}}`;
}

/**
 * The inspection with the file's references among its keys.
 *
 * @throws TNT_PLAN_INVALID with the line of the reference that is not one
 */
export function readReferences(
  file: PlanFile,
  inspection: Inspection,
  lineOf: (path: readonly PropertyKey[]) => number,
): Inspection {
  const keys = [...inspection.foreignKeys];
  for (const [i, reference] of (file.references ?? []).entries()) {
    try {
      keys.push(...confirmReference(inspection, keys, reference));
    } catch (error) {
      if (!(error instanceof ReferenceProblem)) throw error;
      throw invalid(lineOf(['references', i]), `references ${i + 1} (${reference.from}): ${error.message}`);
    }
  }
  return { ...inspection, foreignKeys: keys };
}
