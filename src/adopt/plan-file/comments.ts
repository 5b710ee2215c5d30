import { isSeq, type YAMLMap } from 'yaml';
import { counted } from '../../counted.ts';
import { keyLabel } from '../graph.ts';
import { hasTenant } from '../drafts.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { describeUniques } from './key-decisions.ts';

/** What stands above everything: how to read the file. */
export const fileHead = [
  ' How this database becomes multi-tenant. Read it, decide what is undecided, commit it.',
  '   tenantry adopt plan --sql   prints every statement that follows from it',
  '   tenantry adopt run          carries it out; stops before changing anything while a table is undecided',
  '',
  ' class: root       its rows are the tenants; each becomes an organization',
  '        owned      each row belongs to one tenant, found by the foreign key in "via"',
  '        join       the same, for a table that joins others',
  '        shared     the same rows for every tenant; gets no tenant and no policy',
  '        undecided  you decide: owned (with "via") or shared',
  ' via:   columns of the keys that lead to the tenant, declared ones or those under references; the first that is not null counts',
  ' conflicts:    rows that another key leads to another tenant: via, quarantine or stop; for all, or for each key by its columns',
  ' rows:         the same for single rows by their key: "(17)": customer_id, or quarantine',
  ' orphans:      rows that lead to no tenant: quarantine, organization:<slug> or stop',
  ' shared_rows:  rows that several tenants use: share, duplicate, quarantine or stop (tenantry adopt verify --csv - lists them all)',
  ' uniques:      unique keys, by name: per-tenant (two tenants may have the same value, from contract on) or global; a new one "(number)"',
  ' composite_keys: keys of via or keys that become foreign keys with the tenant in front, beside those that are there',
  ' keys:  the other keys to rows of tenants; both ends must have the same tenant. One that is not named here counts as new',
].join('\n');

export function flowLists(map: YAMLMap): void {
  for (const name of ['via', 'keys']) {
    const list = map.get(name, true);
    if (isSeq(list)) list.flow = true;
  }
}

/** What was found about a table, above its decision. */
export function describeTable(plan: Plan, table: TablePlan): string {
  const size = table.rows < 0 ? 'Never analyzed' : `About ${counted(table.rows, 'row')}`;
  const sure = table.confidence === 'decided' ? '' : ` (confidence: ${table.confidence})`;
  const lines = [`${size}; ${table.reason}${sure}.`];
  if (plan.constant === null && table.required === 'never')
    lines.push('Rows whose keys are all null stay without a tenant: only operators see them.');
  if (table.required === 'at commit')
    lines.push(
      'A key is deferrable: the tenant is filled when the transaction commits, and the column stays nullable.',
    );
  for (const key of table.checks) lines.push(`Also compared: ${keyLabel(key)} → ${key.parent}.`);
  for (const key of table.known ?? [])
    lines.push(`Not compared: ${keyLabel(key)} → ${key.parent}, whose rows have tenants.`);
  if (table.inherits.length > 0)
    lines.push(
      `It inherits from ${table.inherits.join(', ')}: a query there reads these rows too, and both are kept apart by the same policies.`,
    );
  if (hasTenant(table.class)) lines.push(...describeUniques(table));
  return lines.map((line) => ` ${line.trim()}`).join('\n');
}
