import { ident, literal } from '../../database/sql.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { functionName, triggerNames } from '../steps/names.ts';
import { triggerFunction } from '../steps/trigger-function.ts';
import { createAliases } from '../tenant-sql.ts';
import { mayBeWithout } from './follows.ts';
import { tenantByColumns } from './by-columns.ts';

/**
 * In place of NOT NULL where decisions leave rows without a tenant: when the transaction commits, a row may be without one only
 * where the decisions say so. Fires for every session, also where triggers of the application are off.
 */
export function planGuard(plan: Plan, table: TablePlan): Step[] {
  if (plan.constant !== null || table.via.length === 0 || !mayBeWithout(plan, table)) return [];
  const name = functionName('guard', table.table);
  const { guard } = triggerNames;
  const checking = triggerFunction('guard', table, body(plan, table));
  // without a key the row cannot be read again at the end: it is judged as it is written
  const deferred = table.primaryKey.length === 0 ? '' : 'deferrable initially deferred ';
  return [
    {
      id: `tighten/${table.table}/guard`,
      phase: 'tighten',
      table: table.table,
      kind: 'transaction',
      up: [
        ...checking.up,
        {
          purpose: 'from here on only rows that the plan puts in quarantine can be without a tenant',
          text: `create constraint trigger ${guard} after insert or update on ${table.table} ${deferred}for each row when (new.${ident(plan.column)} is null) execute function ${name}()`,
        },
        {
          purpose: 'also for what a replication or a restore writes',
          text: `alter table ${table.table} enable always trigger ${guard}`,
        },
      ],
      down: [{ purpose: 'as before', text: `drop trigger if exists ${guard} on ${table.table}` }, ...checking.down],
    },
  ];
}

function body(plan: Plan, table: TablePlan): string {
  const column = ident(plan.column);
  const alias = table.primaryKey.length === 0 ? 'new' : 't';
  const { decided } = tenantByColumns(plan, table, alias, createAliases());
  const joins = decided.joins.join(' ');
  const row = table.primaryKey.map((c) => `t.${ident(c)} = new.${ident(c)}`).join(' and ');
  const rows =
    alias === 'new'
      ? `(values (1)) one ${joins} where (${decided.expression}) is not null`
      : `${table.inherited ? 'only ' : ''}${table.table} t ${joins} where ${row} and t.${column} is null and (${decided.expression}) is not null`;
  return `begin
  if exists (select from ${rows}) then
    raise exception 'null value in column "%" of relation "%" violates not-null constraint', ${literal(plan.column)}, ${literal(table.name)} using errcode = '23502';
  end if;
  return null;
end `;
}
