import { labelsOf } from '../graph.ts';
import type { Inspection } from '../inspection.ts';
import { confirmReference, ReferenceProblem } from '../references/confirm.ts';
import type { PlanFile } from './schema.ts';

/**
 * The file without what the database no longer has: tables, keys of tables that stayed, references that are none any more. What
 * is new is proposed by the plan, and so is a table whose every way is gone.
 */
export function withoutWhatIsGone(file: PlanFile, inspection: Inspection): PlanFile {
  const here = new Set(inspection.tables.map((table) => table.name));
  const keys = [...inspection.foreignKeys];
  const references = file.references?.filter((reference) => {
    try {
      keys.push(...confirmReference(inspection, keys, reference));
      return true;
    } catch (error) {
      if (error instanceof ReferenceProblem) return false;
      throw error;
    }
  });
  const tables = Object.entries(file.tables).flatMap(([name, table]): [string, PlanFile['tables'][string]][] => {
    if (!here.has(name)) return [];
    const labels = labelsOf(keys.filter((key) => key.table === name));
    return waysOf(name, table, labels);
  });
  return { ...file, tables: Object.fromEntries(tables), ...(references === undefined ? {} : { references }) };
}

type TableOfFile = PlanFile['tables'][string];

function waysOf(name: string, table: TableOfFile, labels: readonly string[]): [string, TableOfFile][] {
  const { via, class: kind, ...rest } = table;
  if (via === undefined) return [[name, table]];
  const left = via.filter((label) => labels.includes(label));
  if (left.length > 0) return [[name, { ...table, via: left }]];
  return [[name, { ...rest, class: kind === 'shared' ? kind : 'undecided' }]];
}
