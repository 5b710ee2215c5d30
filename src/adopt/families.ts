import { type Draft, draft, hasTenant } from './drafts.ts';
import type { Inspection, TableName } from './inspection.ts';

/**
 * Tables tied by INHERITS. A query on a table reads the rows of those that inherit from it, under its own policies alone: so
 * all of a family have a tenant, or none. Triggers and foreign keys do not come down, so each member has its own way to the root.
 */
export function settleFamilies(inspection: Inspection, byName: Map<TableName, Draft>): void {
  for (const table of inspection.tables) {
    const own = byName.get(table.name);
    if (own === undefined || table.inherits.length === 0) continue;
    const without = table.inherits.find((parent) => !hasTenant(byName.get(parent)?.class));
    if (hasTenant(own.class)) {
      byName.set(
        table.name,
        without === undefined || own.confidence === 'decided'
          ? inherited(own, table.inherits)
          : undecided(
              table.name,
              `inherits from ${without}, which has no tenant: a query there would read these rows past every policy`,
            ),
      );
    } else if (own.class !== 'shared' && without === undefined) {
      byName.set(
        table.name,
        undecided(
          table.name,
          `inherits from ${table.inherits.join(', ')}, whose rows belong to tenants, and has no way to the root of its own: confirm one under references`,
        ),
      );
    }
  }
}

const undecided = (table: TableName, reason: string): Draft =>
  draft(table, { class: 'undecided', confidence: 'low', reason });

function inherited(own: Draft, parents: readonly TableName[]): Draft {
  if (own.confidence === 'decided') return own;
  return {
    ...own,
    confidence: 'medium',
    reason: `inherits from ${parents.join(', ')} and is a table of its own: foreign keys and triggers do not come down; ${own.reason}`,
  };
}
