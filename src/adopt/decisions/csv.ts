import { csvCell } from '../../csv.ts';
import type { RowFinding } from './list.ts';

/** The columns of the export, in this order in every version. */
const columns = ['table', 'kind', 'key', 'way', 'tenant', 'other_way', 'other_tenants', 'decision'] as const;

export const csvHeader = `${columns.join(',')}\n`;

/** One line of the export. */
export function csvLine(finding: RowFinding): string {
  const { table, kind, key, way, tenant, otherWay, otherTenants, decision } = finding;
  return `${[table, kind, key, way, tenant, otherWay, otherTenants, decision].map(csvCell).join(',')}\n`;
}
