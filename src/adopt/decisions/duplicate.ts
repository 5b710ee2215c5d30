import { ident } from '../../database/sql.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey, Inspection, TableName, TriggerFacts } from '../inspection.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { asIs, asleep } from '../steps/backfill.ts';
import { agreement } from '../steps/verify.ts';
import { joinCondition } from '../tenant-sql.ts';
import { copyFunction, copyingUp, removeCopies, unchangedCopies } from './copy-function.ts';
import { copiedBy } from './findings.ts';
import { planPointing } from './point.ts';
import { pageWindow } from './use.ts';

/** Tables whose rows are copied per tenant, those that refer to others of them first. */
export function copiedTables(plan: Plan): TablePlan[] {
  const copied = plan.tables.filter(
    (table) => table.rule?.sharedRows === 'duplicate' && plan.order.includes(table.table),
  );
  const result = new Set<TablePlan>();
  const visiting = new Set<TableName>();
  const visit = (table: TablePlan): void => {
    if (visiting.has(table.table)) return;
    visiting.add(table.table);
    const users = new Set(copiedBy(plan, table).map((key) => key.table));
    for (const other of copied) if (users.has(other.table)) visit(other);
    result.add(table);
  };
  for (const table of copied) visit(table);
  return [...result];
}

/**
 * Copies what several tenants use, when enforcement begins: until then the application reads what it always read. From the first
 * step on a new reference to another tenant's row leads to a copy; when the references are enforced, it is refused.
 */
export function planDuplicates(plan: Plan, inspection: Inspection): Step[] {
  const copied = copiedTables(plan);
  if (copied.length === 0) return [];
  const byName = new Map(plan.tables.map((table) => [table.table, table]));
  const users = [...new Set(copied.flatMap((table) => copiedBy(plan, table).map((key) => key.table)))].flatMap(
    (name) => byName.get(name) ?? [],
  );
  const base = { phase: 'enforced', kind: 'transaction' } as const;
  return [
    ...sleeping(inspection, copied, users).map(
      ({ table, triggers }): Step => ({
        ...base,
        id: `enforced/${table}/suspend`,
        table,
        up: triggers.flatMap((trigger) => asleep(trigger)),
        down: triggers.flatMap((trigger) => asIs(trigger)),
      }),
    ),
    ...copied.toReversed().map(
      (table): Step => ({
        ...base,
        id: `enforced/${table.table}/copies`,
        table: table.table,
        ...copyingUp(plan, table, removeCopies(plan, table, inspection)),
      }),
    ),
    ...users.map((user): Step => {
      const { up } = planPointing(plan, user);
      // undo takes the triggers away before the first reference is put back: see below
      return {
        ...base,
        id: `enforced/${user.table}/point`,
        table: user.table,
        up,
        down: planPointing(plan, user).down,
      };
    }),
    ...copied.flatMap((table) => copiedBy(plan, table).flatMap((key) => repoint(plan, table, key, byName))),
    ...users.map((user): Step => {
      const { up, down } = planPointing(plan, user);
      return { ...base, id: `enforced/${user.table}/pointed`, table: user.table, up, down: down.slice(0, 2) };
    }),
    ...sleeping(inspection, copied, users).map(
      ({ table, triggers }): Step => ({
        ...base,
        id: `enforced/${table}/resume`,
        table,
        up: triggers.flatMap((trigger) => asIs(trigger)),
        down: triggers.flatMap((trigger) => asleep(trigger)),
      }),
    ),
  ];
}

/** Every reference must lead to the tenant's own copy before anything is hidden. */
export function planCopyChecks(plan: Plan): Step[] {
  return copiedTables(plan).flatMap((table) =>
    copiedBy(plan, table).flatMap((key): Step[] => {
      const user = plan.tables.find((t) => t.table === key.table);
      if (user === undefined) return [];
      return [
        {
          id: `enforced/${user.table}/copied/${keyLabel(key)}`,
          phase: 'enforced',
          table: user.table,
          kind: 'check',
          up: [agreement(plan, user, key)],
          down: [],
        },
      ];
    }),
  );
}

/** The application's own triggers sleep for our copies and re-pointed references, as in a backfill. */
function sleeping(
  inspection: Inspection,
  copied: readonly TablePlan[],
  users: readonly TablePlan[],
): { table: TableName; triggers: TriggerFacts[] }[] {
  const names = [...new Set([...copied, ...users].map((table) => table.table))];
  return names.flatMap((table) => {
    const triggers = inspection.triggers.filter(
      (trigger) =>
        trigger.table === table &&
        !trigger.constraint &&
        (trigger.enabled === 'O' || trigger.enabled === 'A') &&
        trigger.events.some((event) => event !== 'truncate'),
    );
    return triggers.length === 0 ? [] : [{ table, triggers }];
  });
}

function repoint(plan: Plan, table: TablePlan, key: ForeignKey, byName: ReadonlyMap<TableName, TablePlan>): Step[] {
  const column = ident(plan.column);
  const child = ident(key.columns[0] ?? '');
  return (byName.get(key.table)?.leaves ?? []).map(
    (leaf): Step => ({
      id: `enforced/${leaf}/copied/${table.table}/${keyLabel(key)}`,
      phase: 'enforced',
      table: key.table,
      kind: 'backfill',
      relation: leaf,
      up: [
        {
          purpose: `rows of ${leaf} that refer to another tenant's row of ${table.table} get a copy`,
          text: `update only ${leaf} c set ${child} = ${copyFunction(table)}(c.${child}, c.${column}) from ${table.table} p where ${pageWindow('c')} and ${joinCondition(key, 'c', 'p')} and c.${column} is not null and p.${column} is distinct from c.${column}`,
        },
      ],
      down: unchangedCopies(plan, table, leaf, key),
    }),
  );
}
