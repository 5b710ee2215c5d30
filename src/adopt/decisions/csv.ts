import type { RowFinding } from './list.ts';

/** The columns of the export, in this order in every version. */
const columns = ['table', 'kind', 'key', 'way', 'tenant', 'other_way', 'other_tenants', 'decision'] as const;

export const csvHeader = `${columns.join(',')}\n`;

/** One line of the export. */
export function csvLine(finding: RowFinding): string {
  const { table, kind, key, way, tenant, otherWay, otherTenants, decision } = finding;
  return `${[table, kind, key, way, tenant, otherWay, otherTenants, decision].map(csvField).join(',')}\n`;
}

const number = /^[+-]?\d+(?:\.\d+)?$/;

/**
 * A field as RFC 4180 writes it; null is empty. A spreadsheet would calculate what begins like a formula, and keys are what users of the
 * database chose: such a field begins with an apostrophe. Plain numbers stay what they are.
 */
export function csvField(value: string | null): string {
  if (value === null) return '';
  const text = /^[=+\-@\t\r]/.test(value) && !number.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text;
}
