import { ident, type Statement } from '../../database/sql.ts';
import { keyColumns } from '../graph.ts';
import { once } from '../lookups.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { functionName, triggerNames } from '../steps/names.ts';
import { triggerFunction } from '../steps/trigger-function.ts';
import { joinCondition, keyPresent } from '../tenant-sql.ts';
import { copyFunction } from './copy-function.ts';
import { copiedBy } from './findings.ts';

const duplicated = once((tables: readonly TablePlan[]) =>
  tables.filter((table) => table.rule?.sharedRows === 'duplicate'),
);

/** On a table that refers to rows which are copied per tenant: a reference to another tenant's row leads to the copy. */
export function planPointing(plan: Plan, user: TablePlan): { readonly up: Statement[]; readonly down: Statement[] } {
  const column = ident(plan.column);
  const used = duplicated(plan.tables).flatMap((table) =>
    copiedBy(plan, table)
      .filter((key) => key.table === user.table)
      .map((key) => ({ table, key })),
  );
  if (used.length === 0) return { up: [], down: [] };
  const points = used.map(({ table, key }) => {
    const child = ident(key.columns[0] ?? '');
    return `  if ${keyPresent(key, 'new')} and new.${column} is not null then
    select p.${column} into v_tenant from ${table.table} p where ${joinCondition(key, 'new', 'p')};
    if v_tenant <> new.${column} then
      new.${child} := ${copyFunction(table)}(new.${child}, new.${column});
    end if;
  end if;\n`;
  });
  const pointing = triggerFunction(
    'point',
    user,
    `declare\n  v_tenant uuid;\nbegin\n${points.join('')}  return new;\nend `,
  );
  const name = functionName('point', user.table);
  const changed = [...new Set([plan.column, ...used.flatMap(({ key }) => keyColumns(key))])]
    .map((c) => `new.${ident(c)} is distinct from old.${ident(c)}`)
    .join(' or ');
  const { pointInsert, pointUpdate } = triggerNames;
  return {
    up: [
      ...pointing.up,
      {
        purpose: "a new reference to another tenant's row leads to the copy of its own tenant",
        text: `create or replace trigger ${pointInsert} before insert on ${user.table} for each row execute function ${name}()`,
      },
      {
        purpose: 'and so does one that changes',
        text: `create or replace trigger ${pointUpdate} before update on ${user.table} for each row when (${changed}) execute function ${name}()`,
      },
    ],
    down: [
      ...[pointInsert, pointUpdate].map((trigger) => ({
        purpose: 'references stay as they are written',
        text: `drop trigger if exists ${trigger} on ${user.table}`,
      })),
      ...pointing.down,
    ],
  };
}
