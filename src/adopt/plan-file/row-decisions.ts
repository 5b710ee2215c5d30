import type { Document, YAMLMap } from 'yaml';
import { z } from 'zod';
import type { OrphanDecision, RowDecisions } from '../decisions/types.ts';

const conflict = z.enum(['via', 'quarantine', 'stop'], { message: 'must be via, quarantine or stop' });

/** What a table's entry may say about rows that do not belong to one tenant as they are. */
export const rowDecisionFields = {
  conflicts: z
    .union([conflict, z.record(z.string(), conflict)], {
      message: 'must be via, quarantine or stop, or one of them for each way',
    })
    .optional(),
  rows: z.record(z.string(), z.string().min(1)).optional(),
  orphans: z
    .string()
    .refine((text): text is OrphanDecision => /^(?:quarantine|stop|organization:[a-z0-9][a-z0-9-]{0,62})$/.test(text), {
      message: 'must be quarantine, stop or organization:<slug>',
    })
    .optional(),
  shared_rows: z
    .enum(['share', 'duplicate', 'quarantine', 'stop'], { message: 'must be share, duplicate, quarantine or stop' })
    .optional(),
};

/** Writes decisions behind a table's class and ways. */
export function setRowDecisions(document: Document, value: YAMLMap, decided: RowDecisions | undefined): void {
  if (decided?.conflicts !== undefined) value.set('conflicts', document.createNode(decided.conflicts));
  if (decided?.rows !== undefined) value.set('rows', document.createNode(decided.rows));
  if (decided?.orphans !== undefined) value.set('orphans', decided.orphans);
  if (decided?.sharedRows !== undefined) value.set('shared_rows', decided.sharedRows);
}
