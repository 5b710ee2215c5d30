import { ident, literal } from '../../database/sql.ts';
import { planPointing } from '../decisions/point.ts';
import { keyColumns } from '../graph.ts';
import type { ForeignKey } from '../inspection.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { joinCondition, keyPresent, parentRows } from '../tenant-sql.ts';
import { computeGenerated, storedColumns } from './generated.ts';
import { functionName, triggerNames } from './names.ts';
import { triggerFunction } from './trigger-function.ts';

/**
 * PostgreSQL's own foreign-key checks look past policies: without more, a tenant could refer to another's row by its id, and learn
 * from the answer whether it exists. From enforcement on, a reference to another tenant's row is refused as one to a row that
 * does not exist. (A composite key does the same; it needs a second unique key beside `id`, and under that one a live
 * `ON CONFLICT (id)` aborts in races.)
 */
export function planReferences(plan: Plan, table: TablePlan): Step[] {
  const keys = [...table.via, ...table.checks];
  if (keys.length === 0) return [];
  const name = functionName('refs', table.table);
  const column = ident(plan.column);
  const columns = storedColumns(table, keys.flatMap(keyColumns)).map(ident);
  const changed = [column, ...columns].map((c) => `new.${c} is distinct from old.${c}`).join(' or ');
  const pointing = planPointing(plan, table);
  const checking = triggerFunction('refs', table, body(plan, table, keys));
  const { refsInsert, refsUpdate } = triggerNames;
  return [
    {
      id: `enforced/${table.table}/references`,
      phase: 'enforced',
      table: table.table,
      kind: 'transaction',
      up: [
        // from here on a reference to another tenant's row is refused, and no copy is made for it
        ...pointing.down.slice(0, 2),
        ...checking.up,
        {
          purpose: 'for new rows',
          text: `create or replace trigger ${refsInsert} before insert on ${table.table} for each row execute function ${name}()`,
        },
        {
          purpose: 'and for rows that are given another reference',
          text: `create or replace trigger ${refsUpdate} before update on ${table.table} for each row when (${changed}) execute function ${name}()`,
        },
      ],
      down: [
        ...[refsInsert, refsUpdate].map((trigger) => ({
          purpose: 'as before',
          text: `drop trigger if exists ${trigger} on ${table.table}`,
        })),
        ...checking.down,
        ...pointing.up,
      ],
    },
  ];
}

/** Rows may be there whose tenant is not that of this key's parent, by a decision. */
function isAccepted(table: TablePlan, key: ForeignKey): boolean {
  if ((table.rule?.rows.length ?? 0) > 0) return true;
  const way = table.rule?.ways.find((w) => w.key.name === key.name && w.key.when?.value === key.when?.value);
  return way?.decision === 'via' || way?.decision === 'quarantine';
}

function body(plan: Plan, table: TablePlan, keys: readonly ForeignKey[]): string {
  const column = ident(plan.column);
  const checks = keys.map((key) => {
    const changed = keyColumns(key).map((c) => `new.${ident(c)} is distinct from old.${ident(c)}`);
    // what was accepted once stays when the row changes elsewhere
    if (!isAccepted(table, key)) changed.push(`new.${column} is distinct from old.${column}`);
    // nobody but an operator sees a row in quarantine: for everybody else it is not there
    const parent = plan.tables.find((t) => t.table === key.parent);
    const hidden =
      parent?.required === 'never' ? ' or (found and v_tenant is null and tenantry.context_tenant() is not null)' : '';
    // as PostgreSQL tells it of a row that is not there: applications look at the constraint's name, and learn no more
    const told = [
      `errcode = '23503'`,
      `detail = ${literal(`Key is not present in table "${parent?.name ?? key.parent}".`)}`,
      `schema = ${literal(table.schema)}, table = ${literal(table.name)}, constraint = ${literal(key.name)}`,
    ].join(', ');
    return `  if ${keyPresent(key, 'new')} and (tg_op = 'INSERT' or ${changed.join(' or ')}) then
    select p.${column} into v_tenant from ${parentRows(key)} p where ${joinCondition(key, 'new', 'p')};
    if v_tenant <> coalesce(tenantry.context_tenant(), new.${column}) or v_tenant <> new.${column}${hidden} then
      raise exception 'insert or update on table "%" violates foreign key constraint "%"', ${literal(table.name)}, ${literal(key.name)} using ${told};
    end if;
  end if;\n`;
  });
  return `declare
  v_tenant uuid;
begin
${computeGenerated(table)}${checks.join('')}  return new;
end `;
}
