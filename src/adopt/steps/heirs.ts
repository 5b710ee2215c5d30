import { ident, type Statement } from '../../database/sql.ts';
import type { Inspection } from '../inspection.ts';
import type { Step, TablePlan } from '../plan-types.ts';

/**
 * What an application does with a table that inherits from another, and by its own name: the mode of the table above has put its
 * policies on this one and taken its ownership, and has given the runtime no rights here. Undo of that mode gives them back.
 */
export function planHeir(table: TablePlan, inspection: Inspection): Step[] {
  if (table.inherits.length === 0) return [];
  const own = inspection.sequences.filter(({ ownedBy }) => ownedBy?.startsWith(`${table.table}.`) === true);
  const sequences = own.map(({ name, usable }) => {
    const roles = [ident(table.owner), ...(usable === true ? [] : ['tenantry_app'])].join(', ');
    return { name, roles };
  });
  const up: Statement[] = [
    {
      purpose: `${table.table} is used by its own name, too`,
      text: `grant select, insert, update, delete on ${table.table} to tenantry_app`,
    },
    ...sequences.map(({ name, roles }) => ({
      purpose: 'its sequence went to the new owner with it',
      text: `grant usage, select on sequence ${name} to ${roles}`,
    })),
  ];
  return [
    {
      id: `shadow/${table.table}/heir`,
      phase: 'shadow',
      table: table.table,
      kind: 'transaction',
      up,
      down: sequences.map(({ name, roles }) => ({
        purpose: 'as before',
        text: `revoke usage, select on sequence ${name} from ${roles}`,
      })),
    },
  ];
}
